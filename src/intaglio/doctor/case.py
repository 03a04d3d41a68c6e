"""What all causes are looked for in: one network, its plan, and what was measured of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from intaglio.doctor.alone import Baseline, Change, sqnr_alone, sqnr_together
from intaglio.doctor.evidence import Evidence
from intaglio.ir.graph import Graph, Node
from intaglio.methods.structure.fold_dead_channels import fold_dead_channels
from intaglio.numerics.affine import fake_quantize, params_from_range
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.normal import Normal
from intaglio.numerics.plan import Plan
from intaglio.numerics.spec import QuantParams, QuantSpec
from intaglio.ops.weight_rows import weight_rows
from intaglio.targets.target import Target

AUDIBLE_DB = 40.0
"""SQNR of the outputs, with one thing alone quantized, below which that thing is heard.

Noises add: fifty layers at 40 dB leave 23 dB, at which MobileNetV2 keeps 97.7 % agreement with
float; at 30 dB each they leave 13 dB and 93 %.
"""

PART_DB = 13.0
"""SQNR above that of all values together at which one makes a twentieth of the noise."""

REFERENCES = 16
"""Values of a network that say what its sound values cost."""

WORTH_DB = 6.0
"""Least gain in dB, one bit, by which the removal of a cause shows that it was the cause."""


@dataclass(frozen=True, eq=False)
class Case:
    """A network to be judged.

    Attributes:
        captured: As captured, with its batch norms.
        graph: Lowered float graph.
        plan: What is to be quantized.
        target: For which runtime.
        statistics: From batch norms, by layer, before the activation.
        images: On which harm is measured, [n, C, H, W]; noise where there were no images.
        evidence: What the pass over the images showed; None without images.
        encodings: Scales and zero points for those images; None without.
    """

    captured: Graph
    graph: Graph
    plan: Plan
    target: Target
    statistics: Mapping[str, Normal]
    images: Tensor
    evidence: Evidence | None = None
    encodings: Encodings | None = None
    _known: dict[str, float] = field(default_factory=dict, repr=False)

    @cached_property
    def dead(self) -> dict[str, list[int]]:
        """By layer, the output channels that are constant, or that nothing reads."""
        return fold_dead_channels(self.graph.copy(), self.statistics)

    @cached_property
    def baseline(self) -> Baseline:
        """The network on the images, to try changes on."""
        return Baseline.of(self.graph, self.images)

    def live(self, layer: str) -> Tensor:
        """Return which output channels of a layer are not dead, [C_out] bool."""
        live = torch.ones(len(self.rows(layer)), dtype=torch.bool)
        live[self.dead.get(layer, [])] = False
        return live

    def rows(self, layer: str) -> Tensor:
        """Return the largest magnitude of the weight from each output channel, [C_out]."""
        node = self.graph[layer]
        return weight_rows(node, self.graph.param(node, "weight")).abs().amax(1)

    def weight_grid(self, layer: str) -> QuantParams:
        """Return the grid of a layer's weight: the run's own, else that of its full range."""
        if self.encodings is not None:
            return self.encodings.weights[layer]
        return self.grid_for(layer, self.rows(layer), self.plan.weights[layer])

    def grid_for(self, layer: str, largest: Tensor, spec: QuantSpec) -> QuantParams:
        """Return the grid that reaches the magnitudes [C_out], or their largest per tensor."""
        if spec.axis is None:
            largest = largest.max()
        elif self.graph[layer].op == "conv_transpose2d":
            largest = largest.reshape(-1, self.graph.param(self.graph[layer], "weight").shape[1])
            largest = largest.amax(0)
        return params_from_range(-largest, largest, spec)

    def weight_change(self, layer: str, grid: QuantParams, kept: Tensor | None = None) -> Change:
        """Return the change that puts a weight on a grid; rows `kept` [C_out] stay float32."""
        weight = self.graph.param(self.graph[layer], "weight")
        quantized = fake_quantize(weight, grid)
        if kept is not None:
            quantized = weight.where(kept.reshape(-1, *[1] * (weight.ndim - 1)), quantized)
        return Change(layer, {"weight": quantized})

    def alone(self, *changes: Change) -> list[float]:
        """Return the SQNR of the outputs in dB under each change alone."""
        return sqnr_alone(self.baseline, changes)

    def harm_of(self, layer: str) -> float:
        """Return the SQNR of the outputs in dB where this layer alone is quantized.

        Its weight, where it has one, and its value; measured once.
        """
        if layer not in self._known:
            change = Change(layer)
            if layer in self.plan.weights:
                change = self.weight_change(layer, self.weight_grid(layer))
            grid = self.encodings.activations.get(layer) if self.encodings else None
            if grid is not None:
                change = Change(layer, change.params, value=rounding_to(grid))
            self._known[layer] = self.alone(change)[0]
        return self._known[layer]

    @cached_property
    def together_db(self) -> float:
        """SQNR of the outputs in dB where all values are quantized, and no weight.

        Weights are left out: behind a value that is far out their rounding is amplified, which is
        a harm of that value.
        """
        grids = self.encodings.activations if self.encodings else {}
        changes = [Change(name, value=rounding_to(grid)) for name, grid in grids.items()]
        return sqnr_together(self.baseline, changes)

    def matters(self, harm_db: float) -> bool:
        """Whether one value alone makes a part of all noise that is worth to be spared.

        A network that amplifies all rounding hides what is wrong in one of its values.
        """
        return harm_db <= self.together_db + PART_DB

    @cached_property
    def audible_db(self) -> float:
        """SQNR of the outputs below which one value, or weight, alone is heard among the others.

        At least AUDIBLE_DB; more where the network's own values cost less: a small network whose
        last layer averages many positions hides noise that the same layer elsewhere would not.
        """
        if self.encodings is None:
            return AUDIBLE_DB
        grids = [(name, grid) for name, grid in self.encodings.activations.items()]
        chosen = grids[:: max(1, len(grids) // REFERENCES)]
        changes = [Change(name, value=rounding_to(grid)) for name, grid in chosen]
        found = sorted(self.alone(*changes))
        return max(AUDIBLE_DB, min(found[len(found) // 2], 2 * AUDIBLE_DB))

    def is_heard(self, harm_db: float) -> bool:
        """Whether an SQNR of the outputs, with one thing alone quantized, is below audible_db."""
        return harm_db < AUDIBLE_DB or harm_db < self.audible_db  # the second takes a measurement

    def layer_name(self, name: str) -> str:
        """Return a node's layer as the user's module calls it."""
        return self.graph[name].source or name

    def norm_behind(self, layer: str) -> Node | None:
        """Return the batch norm that reads a layer in the captured graph; None: there is none."""
        for norm in self.captured:
            if norm.op == "batch_norm" and norm.inputs[0] == layer:
                return norm
        return None

    def norm_variance(self, layer: str) -> Tensor | None:
        """Return the running variance of the batch norm behind a layer, [C_out]; None: no norm."""
        norm = self.norm_behind(layer)
        return None if norm is None else self.captured.param(norm, "var")


def rounding_to(grid: QuantParams, kept: Tensor | None = None) -> Callable[[Tensor], Tensor]:
    """Return the function that puts a value [N, C, ...] on a grid; channels `kept` [C] stay."""

    def rounded(value: Tensor) -> Tensor:
        """Return the value on the grid, as real numbers; channels `kept` as they were."""
        found = fake_quantize(value, grid)
        if kept is None:
            return found
        return value.where(kept.reshape(1, -1, *[1] * (value.ndim - 2)), found)

    return rounded


def middle_of(values: Tensor) -> float:
    """Return the median of the values above 0; 0.0 where none is."""
    alive = values[values > 0]
    return float(alive.median()) if len(alive) else 0.0


def add_db(figures: dict[str, float | int], **decibels: float) -> dict[str, float | int]:
    """Return evidence with those of the figures in dB that are finite."""
    known = {name: value for name, value in decibels.items() if abs(value) != float("inf")}
    return {**figures, **known}
