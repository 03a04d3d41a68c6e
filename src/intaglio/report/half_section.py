"""The section on what float16 does to a network's numbers."""

from __future__ import annotations

from collections.abc import Sequence

from intaglio.report.half_row import HalfRow
from intaglio.report.parts import ReportData
from intaglio.report.section import Cell, Column, Section, Table, TableRow, Worst

TITLE = "Numbers in float16"
WORST = 8
COLUMNS = (
    Column("layer", "layer"),
    Column("stored", "stored", breaks="never"),
    *(
        Column(key, title, numeric=True)
        for key, title in (
            ("numbers", "numbers"),
            ("overflow", "beyond 65504"),
            ("subnormal", "subnormal"),
            ("zeros", "become 0"),
            ("largest", "largest"),
        )
    ),
)


def half_section(report: ReportData) -> Section | None:
    """Return the table of all layers' numbers; None for a network of integers."""
    if not report.halves:
        return None
    rows = tuple(map(_row, report.halves))
    keys = tuple(column.key for column in COLUMNS)
    worst = Worst("Numbers that float16 holds badly", _worst(report.halves), keys)
    return Section(
        "halves",
        TITLE,
        Table(COLUMNS, rows, sort_word="half", worst=worst),
        told=_told(report.halves),
        hint=(
            "Beyond 65504 there is no float16: such a layer is stored in float32. Subnormal: below"
            " 6.1e-5 in magnitude, where fewer than 11 significant bits are left. Become 0: below"
            " 3e-8, and not 0."
        ),
        plain=False,
    )


def _told(rows: Sequence[HalfRow]) -> str:
    total = sum(row.numbers for row in rows)
    halves = sum(row.numbers for row in rows if row.stored == "float16")
    return (
        f"{TITLE}: {halves:,} of {total:,} weights;"
        f" {sum(row.subnormal for row in rows):,} are subnormal there,"
        f" {sum(row.zeros for row in rows):,} become 0, {sum(row.overflow for row in rows):,} are"
        " too large"
    )


def _row(row: HalfRow) -> TableRow:
    counts = (row.numbers, row.overflow, row.subnormal, row.zeros)
    cells = (
        Cell(row.source or row.name),
        Cell(row.stored),
        *(Cell(f"{count:,}", count) for count in counts),
        Cell(f"{row.largest:.4g}", row.largest),
    )
    return TableRow(cells, layer=row.name)


def _worst(rows: Sequence[HalfRow]) -> tuple[int, ...]:
    """Return the places of the layers with numbers that float16 holds badly, the worst first."""
    found = [
        (-row.overflow, -row.zeros, -row.subnormal, place)
        for place, row in enumerate(rows)
        if row.overflow or row.zeros or row.subnormal
    ]
    return tuple(place for *_, place in sorted(found)[:WORST])
