"""A block in training: undecided weights, biases that may move, values on their grids."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.methods.blocks.block_samples import Sample, mixed
from intaglio.methods.blocks.blocks import Block
from intaglio.methods.blocks.windows import run_window
from intaglio.methods.rounding.soft_rounding import SoftWeight, soft_weight, spread_scale
from intaglio.numerics.affine import centered_integers, spread
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.spec import QuantParams
from intaglio.numerics.ste import snap
from intaglio.ops.convolution import copies_values
from intaglio.ops.schema import activate
from intaglio.ops.traits import ON_THE_GRID, WEIGHTED

STRETCH_UNIT = 0.1
"""A learned scale moves by tenths of what V moves by: percents where V moves by tenths."""


@dataclass(frozen=True, eq=False)
class SoftLayer:
    """A layer whose rounding is being learned.

    Attributes:
        weight: Undecided, in steps.
        params: The weight's grid before training.
        bias: Before training, [C_out].
        shift: Learned change of the bias, [C_out], in `unit`s.
        unit: One step of the layer's result.
        stretch: Learned logarithm of what the weight's scale is multiplied with, in
            `STRETCH_UNIT`s, shaped like `params.scale`.
    """

    weight: SoftWeight
    params: QuantParams
    bias: Tensor
    shift: Tensor
    unit: float
    stretch: Tensor

    def soft(self) -> dict[str, Tensor]:
        """Return weight and bias as they are in training, by role."""
        return {
            "weight": self.weight.steps() * self._scale(self.stretched()),
            "bias": self.bias + self.shift * self.unit,
        }

    def hard(self, input_scale: Tensor, bias_limit: int) -> tuple[dict[str, Tensor], QuantParams]:
        """Return weight (on its grid) and bias by role, and the grid.

        A bias too large for int32 stays as it was, and so does a scale too small for the bias.

        Args:
            bias_limit: How large the target lets a bias' integer be.
        """
        limit, spec = bias_limit, self.params.spec
        moved = self.bias + self.shift.detach() * self.unit
        scale = self.stretched().detach()
        least = torch.minimum(moved.abs(), self.bias.abs()).double()
        holds = least / (input_scale.double() * scale.double()) < limit
        scale = torch.where(holds if scale.ndim else holds.all(), scale, self.params.scale)
        fits = moved.double().abs() / (input_scale.double() * scale.double()) < limit
        weight = self.weight.hard() * self._scale(scale)
        params = QuantParams(scale, self.params.zero_point, spec)
        return {"weight": weight, "bias": torch.where(fits, moved, self.bias)}, params

    def stretched(self) -> Tensor:
        """Return the weight's scale as it is in training, [] or [C]."""
        return self.params.scale * (self.stretch * STRETCH_UNIT).exp()

    def _scale(self, scale: Tensor) -> Tensor:
        return spread(scale, self.params.spec.axis, self.rank)

    @property
    def rank(self) -> int:
        """How many axes the weight has."""
        return self.weight.base.ndim


def soft_layers(
    reference: Graph, graph: Graph, encodings: Encodings, block: Block, *, reach: float
) -> dict[str, SoftLayer]:
    """Return the block's layers, ready to learn, from the integers that they have now.

    Layers in float and convolutions that only pick values are left out.
    """
    found = {}
    for name in block.layers:
        node = graph[name]
        params = encodings.weights.get(name)
        if params is None or copies_values(graph, node):
            continue
        weight = graph.param(node, "weight")
        steps = reference.param(reference[name], "weight") / spread_scale(params, weight.ndim)
        integers = centered_integers(weight, params)
        soft = soft_weight(steps, integers, params, reach=reach)
        channels = weight.shape[WEIGHTED[node.op]]
        bias = graph.param(node, "bias", torch.zeros(channels))
        grid = encodings.activations.get(name)
        unit = float(grid.scale) if grid is not None else float(bias.abs().mean()) / 100 + 1e-6
        found[name] = SoftLayer(
            soft, params, bias, torch.zeros_like(bias), unit, torch.zeros_like(params.scale)
        )
    return found


@dataclass(frozen=True, eq=False)
class BlockRun:
    """Runs a block in real numbers as it is in training.

    Attributes:
        graph: Weights of nodes that do not learn.
        layers: Those that do.
        steps: Scale of a value by name, where it is learned; else the encodings'.
        quantized_share: How many of a value's elements are rounded; the rest stays float.
        rounds_result: Whether the block's result is rounded too; it is always clipped.
    """

    graph: Graph
    block: Block
    encodings: Encodings
    layers: Mapping[str, SoftLayer]
    generator: torch.Generator
    steps: Mapping[str, Tensor]
    quantized_share: float = 1.0
    rounds_result: bool = False

    def __call__(self, sample: Sample) -> Tensor:
        """Return the block's result at the sample's box."""
        given = {
            name: mixed(value, sample.floats[name], self.quantized_share, self.generator)
            for name, value in sample.twins.items()
        }
        for name in self.block.nodes:
            for source in self.graph[name].inputs:
                if self.graph[source].op == "constant":
                    given[source] = self.graph.param(self.graph[source], "value")
        return run_window(
            self.graph,
            self.block.nodes,
            given,
            sample.boxes,
            parameters=self._parameters,
            finish=self._finish,
        )

    def _parameters(self, node: Node) -> Mapping[str, Tensor]:
        layer = self.layers.get(node.name)
        return self.graph.params_of(node) if layer is None else layer.soft()

    def _finish(self, node: Node, value: Tensor) -> Tensor:
        activation = node.attrs.get("activation")
        grid = self.encodings.activations.get(node.name)
        if grid is None or node.op in ON_THE_GRID:
            return activate(value, activation)
        step = self.steps.get(node.name, grid.scale)
        low, high = centered_bounds(grid, float(step.detach()), activation)
        if node.name == self.block.outputs[0] and not self.rounds_result:
            return value.clamp(low * float(step), high * float(step))
        snapped = snap(value, step, low, high)
        if self.quantized_share >= 1.0:
            return snapped
        return mixed(snapped, activate(value, activation), self.quantized_share, self.generator)


def centered_bounds(
    grid: QuantParams, step: float, activation: tuple[float, float] | None
) -> tuple[float, float]:
    """Return the least and greatest integer minus zero point that a fused activation passes."""
    low, high = float(grid.spec.qmin - grid.zero), float(grid.spec.qmax - grid.zero)
    if activation is None:
        return low, high
    bounds = [bound if math.isinf(bound) else float(round(bound / step)) for bound in activation]
    return max(low, bounds[0]), min(high, bounds[1])
