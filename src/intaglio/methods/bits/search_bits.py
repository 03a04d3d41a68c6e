"""Mixed precision: 8, 4 or 2 bits for each weight, so that a file fits a size and harms least.

Each layer's harm at each of its bits is measured alone (sensitivity.py), what it takes is
counted by the target, and the best allocation within the size is found exactly
(allocate_bits.py). Weights are rounded by the steps behind this one.

Source: Cai et al. 2020 (ZeroQ, arXiv:2001.00281), section 3.2: the total harm is taken as the sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from intaglio.calibrate.encodings import weight_params
from intaglio.calibrate.weight_bits import weight_specs
from intaglio.errors import RequestError
from intaglio.ir.graph import Graph
from intaglio.methods.bits.allocate_bits import allocate
from intaglio.methods.bits.sensitivity import (
    FORWARDS,
    Harm,
    layer_sensitivity,
    possible_bits,
    spec_with_bits,
)
from intaglio.methods.steps.state import Context, Quantized
from intaglio.methods.steps.steps import NUMBERS, register_step
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.scheme import parse_scheme
from intaglio.targets.target import Target

Harms = Mapping[str, Mapping[int, Harm]]
"""Layer to bits to harm."""
WIDTHS = (8, 4, 2)


@register_step("allocate-bits", NUMBERS)
@dataclass(frozen=True)
class AllocateBits:
    """Bits for each weight by measured harm, so that the file fits a size.

    Attributes:
        max_size_bytes: Of the whole file, without metadata; None: what scheme w4a8 takes.
        bits: To choose from: 8, 4, 2.
        measure: Which harm counts: "divergence" of the softmax, or squared "error" of the outputs.
        forwards: What measuring may take, in runs of the network for one image.
    """

    max_size_bytes: int | None = None
    bits: tuple[int, ...] = WIDTHS
    measure: Literal["divergence", "error"] = "divergence"
    forwards: int = FORWARDS

    def __call__(self, state: Quantized, context: Context) -> Quantized:
        """Return the state with new grids for weights; `round-second-order` fits weights to them.

        Raises:
            RequestError: If bits are none of 8, 4 and 2, or no choice of them is as small.
        """
        if not self.bits or not set(self.bits) <= set(WIDTHS):
            raise RequestError(f"step 'allocate-bits' has bits {list(self.bits)}: give 8, 4 or 2")
        size = self.max_size_bytes
        if size is None:
            size = _size_of_w4a8(state, context)
        options = possible_bits(state.graph, state.encodings, self.bits, context.target)
        harms = layer_sensitivity(
            state.reference, state.encodings, context, options=options, forwards=self.forwards
        )
        bits = chosen_bits(state.graph, harms, size, target=context.target, measure=self.measure)
        return with_bits(state, bits, context.target)


def chosen_bits(
    graph: Graph,
    harms: Harms,
    max_size_bytes: int,
    *,
    target: Target,
    measure: str = "divergence",
) -> dict[str, int]:
    """Return the bits of each layer with the least sum of harms within a file's size.

    Args:
        harms: Of all integer layers, as `layer_sensitivity` returns them.
        target: Says what files take.
        measure: "divergence" or "error".

    Raises:
        RequestError: If even the smallest choice is larger.
    """
    least = {name: min(found) for name, found in harms.items()}
    smallest = target.size_bytes(graph, least)
    if smallest > max_size_bytes:
        raise RequestError(
            f"a file of {max_size_bytes} bytes was asked for and the smallest choice of bits takes"
            f" {smallest}: allow at least that, or fewer bits"
        )
    # what a layer adds is its own: sizes are sums over layers
    cost = {
        name: {bits: target.size_bytes(graph, {**least, name: bits}) - smallest for bits in found}
        for name, found in harms.items()
    }
    sensitivity = {
        name: {bits: float(getattr(harm, measure)) for bits, harm in found.items()}
        for name, found in harms.items()
    }
    return allocate(cost, sensitivity, max_size_bytes - smallest)


def with_bits(state: Quantized, bits: Mapping[str, int], target: Target) -> Quantized:
    """Return the state with other bits for some weights: plan and scales."""
    graph, plan, encodings = state.graph, state.plan, state.encodings
    specs = dict(plan.weights)
    weights = dict(encodings.weights)
    for name, width in bits.items():
        node = graph[name]
        specs[name] = spec_with_bits(node, specs[name], width)
        scale = encodings.activations[node.inputs[0]].scale
        weights[name] = weight_params(graph, node, specs[name], scale, target=target)
    return replace(
        state,
        plan=replace(plan, weights=specs),
        encodings=Encodings(encodings.activations, weights),
    )


def _size_of_w4a8(state: Quantized, context: Context) -> int:
    layers = [state.graph[name] for name in state.plan.weights]
    specs = weight_specs(state.graph, layers, parse_scheme("w4a8"), context.target, asked={})
    return context.target.size_bytes(state.graph, {name: spec.bits for name, spec in specs.items()})
