"""Steps on structure: the float network is rewritten so that it quantizes better.

Each changes the reference along with the graph: what is tuned later is compared with the rewritten
network, whose values have the graph's scales. Each keeps the network's function (see the passes for
what that means to the bit), but for those registered with `alters`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from intaglio.calibrate.weight_bits import weight_specs
from intaglio.methods.steps.state import Context, Prepared
from intaglio.methods.steps.steps import STRUCTURE, register_step
from intaglio.methods.structure.absorb_bias import absorb_bias
from intaglio.methods.structure.drop_squeeze_excite import drop_squeeze_excite
from intaglio.methods.structure.equalize import equalize, largest_values
from intaglio.methods.structure.equalize_activations import equalize_activations
from intaglio.methods.structure.equalize_implied import equalize_implied
from intaglio.methods.structure.fold_dead_channels import fold_dead_channels, settled_statistics
from intaglio.methods.structure.relu6_to_relu import relu6_to_relu
from intaglio.methods.structure.replace_swish import hard_swish_to_relu, silu_to_hard_swish
from intaglio.numerics.scheme import parse_scheme
from intaglio.ops.traits import WEIGHTED
from intaglio.passes.graph_pass import Pass
from intaglio.run.twin import IMAGES_AT_ONCE

IMAGES = 128
"""Enough to see how large each channel gets."""


@register_step("fold-dead-channels", STRUCTURE, needs=())
@dataclass(frozen=True)
class FoldDeadChannels:
    """Fold constant channels into biases: their blown-up kernels spoil everyone's grid."""

    def __call__(self, state: Prepared, context: Context) -> Prepared:
        """Return the state without constant channels."""
        graph = state.graph.copy()
        fold_dead_channels(graph, state.statistics)
        statistics = settled_statistics(graph, state.statistics)
        return replace(state, reference=graph, graph=graph, statistics=statistics)


@register_step("equalize", STRUCTURE, needs=())
@dataclass(frozen=True)
class Equalize:
    """Cross-layer equalization; clamps such as ReLU6 stay and are kept from binding.

    Attributes:
        deviations: Where there are no images, how far beyond its mean a channel may reach.
    """

    deviations: float = 6.0

    def __call__(self, state: Prepared, context: Context) -> Prepared:
        """Return the state with equalized weights and the statistics that go with them."""
        graph = state.graph.copy()
        largest = None
        if "images" in context.has:
            images = context.tuning_images[:IMAGES]
            largest = largest_values(graph, torch.split(images, IMAGES_AT_ONCE))
        statistics = equalize(graph, state.statistics, deviations=self.deviations, largest=largest)
        return replace(state, reference=graph, graph=graph, statistics=statistics)


@register_step("equalize-implied", STRUCTURE, needs=(), alters=True)
@dataclass(frozen=True)
class EqualizeImplied:
    """Rescale channels so that rounding makes least noise, by what batch norms tell.

    Clamps bind elsewhere for values that batch norms take to be rare.

    Attributes:
        scheme: What the weights are to have: how many bits, and how many scales.
    """

    scheme: str = "w8a8-per-tensor"

    def __call__(self, state: Prepared, context: Context) -> Prepared:
        """Return the state with equalized weights and the statistics that go with them."""
        graph = state.graph.copy()
        layers = [node for node in graph if node.op in WEIGHTED]
        scheme = parse_scheme(self.scheme)
        specs = weight_specs(graph, layers, scheme, context.target, asked={})
        statistics = equalize_implied(graph, state.statistics, specs)
        return replace(state, reference=graph, graph=graph, statistics=statistics)


@register_step("equalize-activations", STRUCTURE)
@dataclass(frozen=True)
class EqualizeActivations:
    """Rescale the channels of linear streams so that each fills the grid of activations."""

    def __call__(self, state: Prepared, context: Context) -> Prepared:
        """Return the state with equalized streams and the statistics that go with them."""
        graph = state.graph.copy()
        statistics = equalize_activations(
            graph, state.statistics, torch.split(context.tuning_images[:IMAGES], IMAGES_AT_ONCE)
        )
        return replace(state, reference=graph, graph=graph, statistics=statistics)


@register_step("absorb-bias", STRUCTURE, needs=())
@dataclass(frozen=True)
class AbsorbBias:
    """High-bias absorption: what a channel never falls below moves into the next layer."""

    def __call__(self, state: Prepared, context: Context) -> Prepared:
        """Return the state with smaller biases and the statistics that go with them."""
        graph = state.graph.copy()
        statistics = absorb_bias(graph, state.statistics)
        return replace(state, reference=graph, graph=graph, statistics=statistics)


@register_step("replace-relu6", STRUCTURE, needs=(), alters=True)
@dataclass(frozen=True)
class ReplaceRelu6:
    """Replace every ReLU6 by ReLU: equalization is free then, but the network is another one.

    The reference is replaced too, so that steps behind it tune towards the new network. What it
    costs is seen by the search and in the report, whose outputs are measured against the network
    from before all steps.
    """

    def __call__(self, state: Prepared, context: Context) -> Prepared:
        """Return the state whose graph has ReLU for ReLU6."""
        return _rewritten(state, relu6_to_relu)


@register_step("replace-silu", STRUCTURE, needs=(), alters=True)
@dataclass(frozen=True)
class ReplaceSilu:
    """Replace every SiLU by a hard-swish, which runtimes have integers for."""

    def __call__(self, state: Prepared, context: Context) -> Prepared:
        """Return the state whose graph has hard-swish for SiLU."""
        return _rewritten(state, silu_to_hard_swish)


@register_step("replace-hard-swish", STRUCTURE, needs=(), alters=True)
@dataclass(frozen=True)
class ReplaceHardSwish:
    """Replace every hard-swish by a ReLU, as quantization-friendly MobileNets have it."""

    def __call__(self, state: Prepared, context: Context) -> Prepared:
        """Return the state whose graph has ReLU for hard-swish."""
        return _rewritten(state, hard_swish_to_relu)


@register_step("drop-squeeze-excite", STRUCTURE, alters=True)
@dataclass(frozen=True)
class DropSqueezeExcite:
    """Replace every squeeze-excite by the mean of its gates on the images."""

    def __call__(self, state: Prepared, context: Context) -> Prepared:
        """Return the state without squeeze-excite."""
        graph = state.graph.copy()
        drop_squeeze_excite(graph, torch.split(context.tuning_images[:IMAGES], IMAGES_AT_ONCE))
        kept = {name: seen for name, seen in state.statistics.items() if name in graph.nodes}
        return replace(state, reference=graph, graph=graph, statistics=kept)


def _rewritten(state: Prepared, change: Pass) -> Prepared:
    """Return the state whose network a pass has changed, the reference too."""
    graph = state.graph.copy()
    change(graph)
    return replace(state, reference=graph, graph=graph)
