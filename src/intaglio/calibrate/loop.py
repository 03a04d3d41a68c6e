"""Running data through the float graph and feeding calibrators, with memory that does not grow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor

from intaglio.calibrate.calibrator import Calibrator
from intaglio.calibrate.float_islands import float_ends
from intaglio.calibrate.minmax import MinMax
from intaglio.calibrate.plan import observed_values, stored_range
from intaglio.errors import DataError, NonFiniteError
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.plan import Plan
from intaglio.numerics.spec import QuantSpec
from intaglio.passes.read_bounds import ALL, Bounds, as_read, read_bounds
from intaglio.run.float import run_float
from intaglio.run.twin import IMAGES_AT_ONCE
from intaglio.targets.runtime import Ranges


def observe_ranges(
    graph: Graph,
    plan: Plan,
    batches: Iterable[Tensor],
    *,
    calibrator: Callable[[QuantSpec], Calibrator],
    device: str = "cpu",
) -> Ranges:
    """Return the range of every value that the plan wants seen, and of every constant.

    The network's outputs are never clipped, whatever the calibrator (`unclipped_values`). One that
    weighs values sees those beyond what is read of them where that ends (passes/read_bounds.py).

    Args:
        batches: float32 [N, C, H, W] each, already as the network wants them.
        calibrator: Makes a calibrator for a grid; each value gets its own.
        device: Where the float network runs ("cpu", "cuda").

    Raises:
        NonFiniteError: If an activation is NaN or infinite; names the layer.
        DataError: If there is no image at all.
    """
    calibrators = _calibrators(graph, plan, calibrator)
    bounds = {name: _bounds(graph, plan, name, one) for name, one in calibrators.items()}
    on_device = _moved(graph, device)

    def tap(node: Node, value: Tensor) -> None:
        """Show the value to its calibrator, where it has one."""
        if node.name in calibrators:
            calibrators[node.name].observe(as_read(value, bounds[node.name]))

    count = 0
    for images in _pieces(batches, device):
        run_float(on_device, images, tap=tap)
        count += len(images)
    if count == 0:
        raise DataError("there are no images to calibrate with: the data is empty")
    return _ranges(graph, plan, calibrators)


def unclipped_values(graph: Graph, plan: Plan) -> set[str]:
    """Return the values whose largest number must stay apart from the next: the outputs.

    Where an output is clipped, all scores above the range become the same integer, and the best
    class is drawn by lot among them. The same holds for what a softmax at the end reads, and for
    all values that share an output's grid or that its grid is, or may later be, derived from.
    """
    ends = float_ends(graph)
    wanted = {name for end in ends for name in graph[end].inputs} | set(graph.outputs)
    wanted -= ends.keys()
    while True:
        wanted = wanted.union(*(group for group in plan.groups if wanted.intersection(group)))
        scaled = [graph[name] for name in wanted if graph[name].op == "rescale"]
        if (grown := wanted.union(*(node.inputs for node in scaled))) == wanted:
            return wanted
        wanted = grown


def _bounds(graph: Graph, plan: Plan, name: str, calibrator: Calibrator) -> Bounds:
    """Return how far a calibrator is to see a value; extremes are cut as well when all is seen."""
    if isinstance(calibrator, MinMax) or len(plan.group_of[name]) > 1:
        return ALL
    return read_bounds(graph, plan.fixed, name)


def _calibrators(
    graph: Graph, plan: Plan, calibrator: Callable[[QuantSpec], Calibrator]
) -> dict[str, Calibrator]:
    unclipped = unclipped_values(graph, plan)
    return {
        name: (MinMax if name in unclipped else calibrator)(plan.activations[name])
        for name in observed_values(graph, plan)
    }


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


def _ranges(graph: Graph, plan: Plan, calibrators: Mapping[str, Calibrator]) -> Ranges:
    ranges: dict[str, tuple[Tensor, Tensor]] = {}
    for node in graph:  # in order, so that the layer named is the first that gives NaN
        if node.name in calibrators:
            ranges[node.name] = _finite(node, calibrators[node.name])
        elif node.name in plan.activations and (stored := stored_range(graph, node)) is not None:
            ranges[node.name] = stored
    return ranges


def _finite(node: Node, calibrator: Calibrator) -> tuple[Tensor, Tensor]:
    low, high = (bound.cpu() for bound in calibrator.range())
    if not (bool(low.isfinite()) and bool(high.isfinite())):
        raise NonFiniteError(
            f"layer '{node.source or node.name}' ({node.op}) gives NaN or infinity on the"
            " calibration images: check its weights and the preprocessing"
        )
    return low, high
