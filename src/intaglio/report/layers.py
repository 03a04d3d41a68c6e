"""Per-layer measurements: the float network and the twin side by side on the same images."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from intaglio.cost.macs import count_macs, count_params
from intaglio.errors import GraphError, NonFiniteError
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.metrics import sqnr_db
from intaglio.numerics.spec import QuantParams
from intaglio.ops.traits import WEIGHTED, padded_with_infinity
from intaglio.ops.weight_rows import weight_rows
from intaglio.passes.read_bounds import ALL, Bounds, as_read, read_bounds
from intaglio.report.parts import LayerRow
from intaglio.run.float import run_float
from intaglio.run.twin import IMAGES_AT_ONCE, Twin

NOT_MEASURED = "no image was measured"
NOT_IN_FLOAT = "made for the target: the float network has no such value"
NO_SIGNAL = "the float value is 0 for every image, so that it has no SQNR"


@dataclass
class Tally:
    """Sums over all images of one value; plain numbers, the same size however many images."""

    values: int = 0
    signal: float = 0.0
    noise: float = 0.0
    saturated: int = 0
    clipped: int = 0


def measure_layers(
    graph: Graph,
    twin: Twin,
    batches: Iterable[Tensor],
    *,
    values: Collection[str] | None = None,
) -> list[LayerRow]:
    """Return one row for every value of the twin's graph but constants, in its order.

    The SQNR of a value is accumulated: both networks run freely, so that it holds the errors of all
    layers before it.

    Memory: batches are cut into at most IMAGES_AT_ONCE images. The float values of one such piece
    are held (MobileNetV2 at 224 x 224: about 27 MB an image) until the twin has passed them; across
    pieces only sums are kept.

    Args:
        graph: The float network; values are matched with the twin's by name.
        twin: Its twin, which may hold further nodes that were made for the target.
        batches: Images [N, C, H, W] as the network takes them. Without any, the rows have no SQNR.
        values: Names of those that are measured; None: all.

    Raises:
        NonFiniteError: If NaN or infinity appears; names the layer.
        GraphError: If a value has another shape in the twin.
    """
    tallies: dict[str, Tally] = {}
    grids = twin.encodings.activations
    wanted = {
        node.name: read_bounds(twin.graph, grids, node.name) if node.name in grids else ALL
        for node in twin.graph
        if node.op != "constant" and (values is None or node.name in values)
    }
    for batch in batches:
        for images in torch.split(batch, IMAGES_AT_ONCE):
            if len(images):
                _compare(graph, twin, images, wanted, tallies)
    rows = _rows(twin)
    return [_with_figures(row, tallies, graph) for row in rows]


def output_sqnr_db(layers: Iterable[LayerRow], outputs: Iterable[str]) -> float | None:
    """Return the SQNR of the network's outputs in dB, the lowest of several; None: not measured."""
    wanted = set(outputs)
    found = [row.sqnr_db for row in layers if row.name in wanted and row.sqnr_db is not None]
    return min(found, default=None)


def weight_ranges(graph: Graph) -> dict[str, tuple[list[float], list[float]]]:
    """Return (lowest, highest) weight of every output channel, [C_out] each, by layer.

    Convolutions, transposed convolutions and fully connected layers have one entry each.
    """
    found = {}
    for node in graph:
        if node.op in WEIGHTED:
            rows = weight_rows(node, graph.param(node, "weight"))  # [C_out, ...]
            found[node.name] = (rows.amin(1).tolist(), rows.amax(1).tolist())
    return found


def _compare(
    graph: Graph,
    twin: Twin,
    images: Tensor,
    wanted: Mapping[str, Bounds],
    tallies: dict[str, Tally],
) -> None:
    """Add what one piece of images shows of the values wanted, as far as each is read."""
    reals: dict[str, Tensor] = {}
    padded, grids = padded_with_infinity(twin.graph), twin.encodings.activations

    def keep(node: Node, value: Tensor) -> None:
        """Hold the float network's value, as far as it is read, until the twin's is there."""
        if node.name in wanted and node.op != "constant":
            reals[node.name] = as_read(value, wanted[node.name])

    def tally(node: Node, value: Tensor) -> None:
        """Add the twin's value to its tally, and let go of the float network's."""
        real = reals.pop(node.name, None)
        if real is not None:
            if real.shape != value.shape:
                raise GraphError(
                    f"'{node.name}' is {tuple(real.shape)} in float,"
                    f" {tuple(value.shape)} in the twin"
                )
            params = grids.get(node.name)
            if params is not None:
                value = _integers_as_read(value, wanted[node.name], params)
            if node.name in padded:
                real, value = real[real.isfinite()], value[real.isfinite()]
            _add(tallies.setdefault(node.name, Tally()), real, value, params)
            _refuse_non_finite(tallies[node.name], node)

    run_float(graph, images, tap=keep)
    twin.run(images, tap=tally)


def _integers_as_read(value: Tensor, bounds: Bounds, params: QuantParams) -> Tensor:
    """Return centered integers, those beyond what is read of them at its bounds."""
    low, high = (bound / float(params.step) for bound in bounds)
    if low <= params.spec.qmin - params.zero and params.spec.qmax - params.zero <= high:
        return value  # the grid ends there
    return value.clamp(low, high)


def _add(tally: Tally, real: Tensor, value: Tensor, params: QuantParams | None) -> None:
    """Add one piece: `real` from the float network, `value` as the twin holds it (centered)."""
    tally.values += real.numel()
    tally.signal += _sum_of_squares(real)
    if params is None:
        tally.noise += _sum_of_squares(value - real)
        return
    tally.noise += _sum_of_squares((value * params.scale).sub_(real))
    low, high = params.spec.qmin - params.zero, params.spec.qmax - params.zero
    for end in {low, high} - {0}:
        tally.saturated += int(torch.count_nonzero(value == end))
    tally.clipped += _count_outside(
        real, (low - 0.5) * float(params.step), (high + 0.5) * float(params.step)
    )


def _count_outside(values: Tensor, low: float, high: float) -> int:
    smallest, largest = values.aminmax()
    if low <= float(smallest) and float(largest) <= high:
        return 0  # the usual case, found in one pass
    return int(torch.count_nonzero((values < low) | (values > high)))


def _sum_of_squares(values: Tensor) -> float:
    norm = torch.linalg.vector_norm(values, dtype=torch.float64)
    return float(norm) ** 2


def _refuse_non_finite(tally: Tally, node: Node) -> None:
    total = tally.signal + tally.noise
    if not total < float("inf"):
        raise NonFiniteError(
            f"layer '{node.source or node.name}' ({node.op}) makes NaN or infinite values: look at"
            " the weights before it, and at the images' preprocessing"
        )


def _rows(twin: Twin) -> list[LayerRow]:
    macs, params = count_macs(twin.graph), count_params(twin.graph)
    return [
        _row(twin, node, macs[node.name], params[node.name])
        for node in twin.graph
        if node.op != "constant"
    ]


def _row(twin: Twin, node: Node, macs: int, params: int) -> LayerRow:
    weight = twin.encodings.weights.get(node.name)
    grid = twin.encodings.activations.get(node.name)
    return LayerRow(
        name=node.name,
        op=node.op,
        source=node.source,
        shape=list(node.shape),
        weight_bits=None if weight is None else weight.spec.bits,
        activation_bits=None if grid is None else grid.spec.bits,
        macs=macs,
        params=params,
        scale=None if grid is None else float(grid.step),
        zero_point=None if grid is None else grid.zero,
    )


def _with_figures(row: LayerRow, tallies: Mapping[str, Tally], graph: Graph) -> LayerRow:
    tally = tallies.get(row.name)
    if tally is None or not tally.values:
        return replace(row, note=NOT_MEASURED if row.name in graph.nodes else NOT_IN_FLOAT)
    if row.activation_bits is not None:
        row = replace(
            row, saturated=tally.saturated / tally.values, clipped=tally.clipped / tally.values
        )
    if tally.signal == 0.0 and tally.noise > 0.0:
        return replace(row, note=NO_SIGNAL)
    return replace(row, sqnr_db=sqnr_db(tally.signal, tally.noise))
