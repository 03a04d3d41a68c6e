"""One pass over the calibration images: what each value of the network looks like.

Memory does not grow with the number of images: a few numbers a channel and two histograms a value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from intaglio.calibrate.calibrator import dense
from intaglio.calibrate.histogram import Histogram, quantile
from intaglio.calibrate.plan import observed_values, stored_range
from intaglio.doctor.first_layer import FirstLayer, FirstLayerSeen
from intaglio.doctor.input_images import InputSeen
from intaglio.errors import NonFiniteError
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.plan import Plan
from intaglio.ops.traits import padded_with_infinity
from intaglio.run.float import channels_last, in_layout, run_float
from intaglio.run.twin import IMAGES_AT_ONCE
from intaglio.targets.runtime import Ranges

KEPT_IMAGES = 8
"""Images on which harm is measured: enough for its order, few enough to hold all their values."""

BULK = 0.999
"""Share of the values that makes up a value's bulk; outliers are beyond."""


@dataclass
class ValueSeen:
    """What was seen of one value of the lowered graph.

    Attributes:
        low, high: [C] float32, of each channel.
        count: Numbers seen in each channel.
        at_low, at_high: Numbers at the bounds of an activation that has two.
        halves: Histograms of every second image, beginning with the first, and of the others.
    """

    low: Tensor
    high: Tensor
    count: int = 0
    at_low: int = 0
    at_high: int = 0
    halves: tuple[Histogram, Histogram] = field(default_factory=lambda: (Histogram(), Histogram()))

    @staticmethod
    def of(channels: int) -> ValueSeen:
        """Return one that has seen nothing yet."""
        infinite = torch.full((channels,), torch.inf)
        return ValueSeen(infinite, -infinite)

    def add(self, node: Node, value: Tensor, first: int) -> None:
        """Take in a value [n, C, ...] of images whose first has the number `first`."""
        rows = (
            value.movedim(1, -1).reshape(-1, value.shape[1]) if value.ndim > 1 else value[:, None]
        )
        low, high = rows.aminmax(dim=0)
        self.low, self.high = torch.minimum(self.low, low), torch.maximum(self.high, high)
        self.count += len(rows)
        low_end, high_end = ends_of(node)
        if high_end < torch.inf:
            flat = dense(value)
            self.at_low += int(torch.count_nonzero(flat <= low_end))
            self.at_high += int(torch.count_nonzero(flat >= high_end))
        for number, half in enumerate(self.halves):
            images = value[(number - first) % 2 :: 2]
            if len(images):
                half.add(images)

    @property
    def channels(self) -> int:
        """How many channels."""
        return len(self.low)

    @property
    def extent(self) -> Tensor:
        """Largest magnitude of each channel, [C] float32."""
        return torch.maximum(self.low.abs(), self.high.abs())

    @property
    def range(self) -> tuple[Tensor, Tensor]:
        """Smallest and largest number, [] float32 each."""
        return self.low.min(), self.high.max()

    @property
    def share_at_low(self) -> float:
        """Share of the numbers at the activation's lower bound, 0..1."""
        return self.at_low / max(self.count * self.channels, 1)

    @property
    def share_at_high(self) -> float:
        """Share of the numbers at the activation's upper bound, 0..1."""
        return self.at_high / max(self.count * self.channels, 1)

    def bulk(self) -> float:
        """Return the magnitude that all but a thousandth of the numbers stay within."""
        return max(abs(end) for end in self._central())

    def _central(self) -> tuple[float, float]:
        filled = [half.filled() for half in self.halves if half.has_spread()]
        if not filled:
            low, high = self.range
            return float(low), float(high)
        tail = (1.0 - BULK) / 2.0
        ends = [(quantile(*half, tail), quantile(*half, 1.0 - tail)) for half in filled]
        return min(low for low, _ in ends), max(high for _, high in ends)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What one pass over the images showed.

    Attributes:
        values: By value of the lowered graph, constants excepted.
        images: Of the images themselves.
        first: Of the first layer; None where it has no batch norm to compare with.
        kept: The first few images, [n, C, H, W].
        through: How many images went through the whole network: on these `values` rest.
    """

    values: dict[str, ValueSeen]
    images: InputSeen
    first: FirstLayerSeen | None
    kept: Tensor
    through: int

    def ranges(self, graph: Graph, plan: Plan) -> Ranges:
        """Return the range of every value that the plan wants seen, nothing clipped."""
        wanted = observed_values(graph, plan)
        found = {name: seen.range for name, seen in self.values.items() if name in wanted}
        for node in graph:
            stored = stored_range(graph, node) if node.name in plan.activations else None
            if stored is not None:
                found[node.name] = stored
        return found


def observe(
    captured: Graph, graph: Graph, batches: Iterable[Tensor], *, most: int | None = None
) -> Evidence:
    """Return what the images show.

    Args:
        captured: The network as captured, whose first batch norm knows the training images.
        graph: The same network lowered.
        batches: [N, C, H, W] float32 each.
        most: How many images go through the whole network, the first ones; the others are only
            looked at and go through the first layer. None: all.

    Raises:
        NonFiniteError: If an activation is NaN or infinite; names the layer.
    """
    first_layer = FirstLayer.of(captured)
    first = first_layer.seen() if first_layer is not None else None
    images, network = InputSeen(), _NetworkSeen(channels_last(graph))
    kept: list[Tensor] = []
    for batch in batches:
        for piece in torch.split(batch, IMAGES_AT_ONCE):
            if not len(piece):
                continue
            if images.count < KEPT_IMAGES:
                kept.append(piece.clone())
            network.add(piece if most is None else piece[: max(0, most - network.through)])
            if first is not None:
                first.add(piece)
            images.add(piece)
    _refuse_non_finite(graph, network.values)
    together = torch.cat(kept) if kept else torch.zeros(0)
    return Evidence(network.values, images, first, together, network.through)


@dataclass
class _NetworkSeen:
    """What was seen of every value of a lowered graph; constants need not be seen."""

    fast: Graph
    values: dict[str, ValueSeen] = field(default_factory=dict)
    through: int = 0

    @cached_property
    def padded(self) -> set[str]:
        """The values that hold padding of minus infinity, which are not looked at."""
        return padded_with_infinity(self.fast)

    def add(self, images: Tensor) -> None:
        """Run images [n, C, H, W] through the network; none where n is 0."""
        if len(images):
            run_float(self.fast, in_layout(images), tap=self._look)
            self.through += len(images)

    def _look(self, node: Node, value: Tensor) -> None:
        if node.op != "constant" and node.name not in self.padded:
            channels = value.shape[1] if value.ndim > 1 else 1
            seen = self.values.setdefault(node.name, ValueSeen.of(channels))
            seen.add(node, value, self.through)


def ends_of(node: Node) -> tuple[float, float]:
    """Return the bounds of a node's activation; infinite where it has none."""
    if node.op in GATES:
        return GATES[node.op]
    low, high = node.attrs.get("activation") or (-torch.inf, torch.inf)
    return float(low), float(high)


GATES = {"sigmoid": (1 / 256, 1 - 1 / 256)}
"""Where a gate is shut or open to within a step of its 8-bit grid."""


def _refuse_non_finite(graph: Graph, values: dict[str, ValueSeen]) -> None:
    for node in graph:
        seen = values.get(node.name)
        if seen is not None and not bool(seen.low.isfinite().all() & seen.high.isfinite().all()):
            raise NonFiniteError(
                f"layer '{node.source or node.name}' ({node.op}) gives NaN or infinity on the"
                " calibration images: check its weights and the preprocessing"
            )
