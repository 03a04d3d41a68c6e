"""The sections that go through the network layer by layer: two plots and a table."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence

from pydantic import JsonValue

from intaglio.report.parts import LayerRow, ReportData
from intaglio.report.section import Cell, Column, Plot, Section, Table, TableRow, Worst
from intaglio.report.words import (
    MISSING,
    bits_text,
    count_text,
    decibel_text,
    layer_title,
    share_text,
)

WORST = 8
COLUMNS = (
    Column("order", "#", numeric=True),
    Column("name", "layer"),
    Column("op", "op", breaks="never"),
    *(
        Column(key, title, numeric=True)
        for key, title in (
            ("shape", "shape"),
            ("bits", "bits"),
            ("sqnr", "SQNR"),
            ("macs", "MACs"),
            ("params", "params"),
            ("saturated", "saturated"),
            ("clipped", "clipped"),
            ("scale", "scale"),
            ("zero", "zero point"),
        )
    ),
)

WeightRanges = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""Layer to (lowest, highest) weight of every output channel, [C_out] each."""


def sqnr_section(report: ReportData) -> Section | None:
    """Return the plot of every layer's SQNR; None for a report without layers."""
    if not report.layers:
        return None
    points: list[JsonValue] = [
        {
            "name": row.name,
            "title": layer_title(row),
            "op": row.op,
            "kind": _kind(row),
            "sqnr": None if row.sqnr_db == math.inf else _rounded(row.sqnr_db),
        }
        for row in report.layers
    ]
    made = "integer" if report.halves is None else "float16 network's"
    return Section(
        "sqnr-plot",
        "Signal to noise, layer by layer",
        Plot({"layers": points}),
        hint=(
            f"Power of the float value over the power of the {made} value's error, in dB, on the"
            " same images; the errors of all earlier layers are in it. 6 dB are one bit. Choose a"
            " point to see the layer's weights."
        ),
    )


def weights_section(report: ReportData, weight_ranges: WeightRanges) -> Section | None:
    """Return the plot of one layer's weight ranges; None where no layer has any."""
    choices = [(row.name, layer_title(row)) for row in report.layers if row.name in weight_ranges]
    if not choices:
        return None
    names = {name for name, _ in choices}
    ranges: dict[str, JsonValue] = {
        name: [[_rounded(value) for value in ends] for ends in (low, high)]
        for name, (low, high) in weight_ranges.items()
        if name in names
    }
    return Section(
        "weight-plot",
        "Weight range of each output channel",
        Plot({"weights": ranges}, tuple(choices)),
    )


def layers_section(report: ReportData, weighted: Container[str]) -> Section | None:
    """Return the table of all layers; None for a report without layers.

    Args:
        report: Whose layers.
        weighted: Names of the layers that the plot of weight ranges can show.
    """
    if not report.layers:
        return None
    rows = [_row(index, layer, weighted) for index, layer in enumerate(report.layers)]
    worst = Worst(
        "Lowest SQNR (errors of the layers before included)",
        _noisiest(report.layers, WORST),
        ("name", "op", "bits", "sqnr", "macs"),
    )
    return Section(
        "layers",
        "Layers",
        Table(COLUMNS, tuple(rows), head=1, sort_word="sort", worst=worst),
        hint=(
            "Saturated: share of values at an end of the integer grid, an end that means 0 left"
            " out. Clipped: share of values that the float network puts outside the grid. Choose a"
            " heading to sort."
        ),
        plain=False,
    )


def _row(index: int, layer: LayerRow, weighted: Container[str]) -> TableRow:
    title = layer_title(layer)
    chosen = layer.name if layer.name in weighted else ""
    shape = " x ".join(str(size) for size in layer.shape[1:]) or MISSING
    scale = MISSING if layer.scale is None else f"{layer.scale:.4g}"
    zero_point = MISSING if layer.zero_point is None else str(layer.zero_point)
    cells = (
        Cell(str(index), index),
        Cell(title, note=layer.note or "", layer=chosen),
        Cell(layer.op),
        Cell(shape, math.prod(layer.shape[1:])),
        Cell(bits_text(layer), layer.weight_bits or layer.activation_bits),
        Cell(decibel_text(layer.sqnr_db), layer.sqnr_db),
        Cell(count_text(layer.macs), layer.macs),
        Cell(count_text(layer.params), layer.params),
        Cell(share_text(layer.saturated), layer.saturated),
        Cell(share_text(layer.clipped), layer.clipped),
        Cell(scale, layer.scale),
        Cell(zero_point, layer.zero_point),
    )
    return TableRow(cells, layer=layer.name)


def _noisiest(layers: Sequence[LayerRow], count: int) -> tuple[int, ...]:
    """Return the places of the layers of lowest SQNR, worst first; those without noise are none."""
    noisy = [
        (row.sqnr_db, place)
        for place, row in enumerate(layers)
        if row.sqnr_db is not None and row.sqnr_db != math.inf
    ]
    return tuple(place for _, place in sorted(noisy)[:count])


def _kind(row: LayerRow) -> str:
    """Return the group in the plot; "absent" has no point."""
    if row.sqnr_db is None:
        return "absent"
    if row.activation_bits is None:
        return "float"
    if row.sqnr_db == math.inf:
        return "exact"
    return "weighted" if row.weight_bits is not None else "weightless"


def _rounded(value: float | None) -> float | None:
    """Four digits are more than a plot shows; they halve the page's data."""
    return None if value is None else float(f"{value:.4g}")
