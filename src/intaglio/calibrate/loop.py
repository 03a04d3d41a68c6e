"""Running data through the float graph and feeding calibrators, with memory that does not grow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from intaglio.calibrate.calibrator import Calibrator
from intaglio.calibrate.plan import Plan, constant_range, observed_values
from intaglio.errors import DataError, NonFiniteError
from intaglio.ir.graph import Graph, Node
from intaglio.run.float import run_float

Ranges = dict[str, tuple[Tensor, Tensor]]
"""Value to (low, high), [] float32 each."""

IMAGES_AT_ONCE = 4
"""Larger batches are cut up: the values of a few images stay in the processor's caches."""


def observe_ranges(
    graph: Graph,
    plan: Plan,
    batches: Iterable[Tensor],
    *,
    calibrator: Callable[[], Calibrator],
    device: str = "cpu",
) -> Ranges:
    """Return the range of every value that the plan wants seen, and of every constant.

    Args:
        batches: float32 [N, C, H, W] each, already as the network wants them.
        calibrator: Makes one calibrator; each value gets its own.
        device: Where the float network runs ("cpu", "cuda").

    Raises:
        NonFiniteError: If an activation is NaN or infinite; names the layer.
        DataError: If there is no image at all.
    """
    wanted = observed_values(graph, plan)
    calibrators = {name: calibrator() for name in wanted}
    on_device = _moved(graph, device)

    def tap(node: Node, value: Tensor) -> None:
        if node.name in wanted:
            calibrators[node.name].observe(value)

    count = 0
    for images in _pieces(batches, device):
        run_float(on_device, images, tap=tap)
        count += len(images)
    if count == 0:
        raise DataError("there are no images to calibrate with: the data is empty")
    ranges: Ranges = {}
    for node in graph:  # in order, so that the layer named is the first that gives NaN
        if node.name in wanted:
            ranges[node.name] = _finite(node, calibrators[node.name])
        elif node.op == "constant" and node.name in plan.activations:
            ranges[node.name] = constant_range(graph, node)
    return ranges


def _pieces(batches: Iterable[Tensor], device: str) -> Iterator[Tensor]:
    """Yield pieces of at most IMAGES_AT_ONCE images, on the device, channels last in memory."""
    for batch in batches:
        for images in torch.split(batch, IMAGES_AT_ONCE):
            if not len(images):  # an empty batch is split into one empty part
                continue
            moved = images.to(device)
            if moved.ndim == 4:
                moved = moved.contiguous(memory_format=torch.channels_last)
            yield moved


def _moved(graph: Graph, device: str) -> Graph:
    """Return the graph with its weights on the device, convolutions channels last in memory."""
    copy = graph.copy()
    copy.params = {
        key: value.to(device, memory_format=torch.channels_last)
        if value.ndim == 4
        else value.to(device)
        for key, value in graph.params.items()
    }
    return copy


def _finite(node: Node, calibrator: Calibrator) -> tuple[Tensor, Tensor]:
    low, high = (bound.cpu() for bound in calibrator.range())
    if not (bool(low.isfinite()) and bool(high.isfinite())):
        raise NonFiniteError(
            f"layer '{node.source or node.name}' ({node.op}) gives NaN or infinity on the"
            " calibration images: check its weights and the preprocessing"
        )
    return low, high
