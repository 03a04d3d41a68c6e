"""What a report tells of a detector beside its figures: what changed, class by class."""

from __future__ import annotations

from collections.abc import Sequence

from intaglio.report.detection import Detection
from intaglio.report.parts import ReportData
from intaglio.report.section import Column, Facts, Section
from intaglio.report.words import percent_text
from intaglio.tasks.class_table import ClassChange, class_section, lost_and_won

TITLE = "Boxes, class by class"
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
    rows = _changes(told)
    return (class_section(TITLE, COLUMNS, rows), facts) if rows else (facts,)


def _facts(told: Detection) -> list[tuple[str, str]]:
    facts = []
    if told.matched_percent is not None:
        share = percent_text(told.matched_percent)
        facts.append(("Same boxes", f"{share} of those that either network finds, both find"))
    if told.per_class:
        lost, won = lost_and_won(_changes(told))
        said = f"{len(told.per_class)} with objects; {lost} lost AP50, {won} gained"
        facts.append(("Classes", said))
    return facts


def _changes(told: Detection) -> list[ClassChange]:
    return [ClassChange(r.name, r.objects, r.float_ap50, r.ap50) for r in told.per_class]
