"""What a report tells of a detector beside its figures: what changed, class by class."""

from __future__ import annotations

from collections.abc import Sequence

from intaglio.report.detection import ClassRow, Detection
from intaglio.report.parts import ReportData
from intaglio.report.section import Cell, Column, Facts, Section, Table, TableRow, Worst
from intaglio.report.words import percent_text

TITLE = "Boxes, class by class"
WORST = 8
"""Classes that a terminal shows."""
COLUMNS = (
    Column("name", "class"),
    Column("objects", "objects", numeric=True),
    Column("float", "AP50 float", numeric=True),
    Column("integer", "AP50 integer", numeric=True),
    Column("change", "points", numeric=True),
)


def told_sections(report: ReportData) -> Sequence[Section]:
    """Return how many boxes both networks find, and a table of classes, the worst first.

    Of a terminal's table only the classes that lost; none in a report without an evaluation.
    """
    told = report.detection
    said = () if told is None else tuple(_facts(told))
    if told is None or not said:
        return ()
    facts = Section("boxes", TITLE, Facts(said))
    rows = told.per_class
    lost = tuple(place for place, row in enumerate(rows) if row.change < 0.0)
    worst = Worst("Classes that lost most", lost[:WORST], tuple(one.key for one in COLUMNS))
    table = Table(COLUMNS, tuple(map(_row, rows)), sort_word="classes", worst=worst)
    return (Section("classes", TITLE, table, plain=False), facts) if rows else (facts,)


def _facts(told: Detection) -> list[tuple[str, str]]:
    facts = []
    if told.matched_percent is not None:
        share = percent_text(told.matched_percent)
        facts.append(("Same boxes", f"{share} of those that either network finds, both find"))
    if told.per_class:
        changes = [row.change for row in told.per_class]
        lost, won = (sum(sign * change < 0.0 for change in changes) for sign in (1, -1))
        said = f"{len(changes)} with objects; {lost} lost AP50, {won} gained"
        facts.append(("Classes", said))
    return facts


def _row(row: ClassRow) -> TableRow:
    return TableRow(
        (
            Cell(row.name),
            Cell(f"{row.objects:,}", row.objects),
            Cell(percent_text(row.float_ap50), row.float_ap50),
            Cell(percent_text(row.ap50), row.ap50),
            Cell(f"{row.change:+.2f}", row.change),
        )
    )
