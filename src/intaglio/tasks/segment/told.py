"""What a report tells of a segmenter beside its figures: what changed, by class, and where."""

from __future__ import annotations

from collections.abc import Sequence

from intaglio.report.parts import ReportData
from intaglio.report.section import Cell, Column, Facts, Section, Table, TableRow
from intaglio.report.segmentation import Borders, Segmentation, Zone
from intaglio.report.words import percent_text, share_text
from intaglio.tasks.class_table import ClassChange, class_section, lost_and_won

TITLE, BORDERS = "Pixels, class by class", "Near the borders of classes, and inside"
COLUMNS = (
    Column("name", "class"),
    Column("pixels", "pixels", numeric=True),
    Column("float", "IoU float", numeric=True),
    Column("integer", "IoU integer", numeric=True),
    Column("change", "points", numeric=True),
)
ZONES = (
    Column("where", "where"),
    Column("share", "of all pixels", numeric=True),
    Column("float", "mIoU float", numeric=True),
    Column("integer", "mIoU integer", numeric=True),
    Column("change", "points", numeric=True),
    Column("right-float", "right float", numeric=True),
    Column("right", "right integer", numeric=True),
)


def told_sections(report: ReportData) -> Sequence[Section]:
    """Return how much both networks say alike, and tables of classes (the worst first) and borders.

    Of a terminal's table only the classes that lost; none in a report without an evaluation.
    """
    told = report.segmentation
    if told is None:
        return ()
    rows = _changes(told)
    classes = class_section(TITLE, COLUMNS, rows) if rows else None
    made = [classes, _facts(told), _borders(told.borders)]
    return tuple(section for section in made if section is not None)


def _changes(told: Segmentation) -> list[ClassChange]:
    return [ClassChange(r.name, r.pixels, r.float_iou, r.iou) for r in told.per_class]


def _facts(told: Segmentation) -> Section | None:
    facts = []
    if told.matched_percent is not None:
        share = percent_text(told.matched_percent)
        facts.append(("Same pixels", f"{share} are of the same class by both networks"))
    if told.per_class:
        lost, won = lost_and_won(_changes(told))
        facts.append(
            ("Classes", f"{len(told.per_class)} with pixels; {lost} lost IoU, {won} gained")
        )
    return Section("pixels", TITLE, Facts(tuple(facts))) if facts else None


def _borders(told: Borders | None) -> Section | None:
    """Return two rows: what is near a border of classes, and all else."""
    if told is None:
        return None
    zones = {"near a border": told.band, "inside": told.inside}
    there = {name: zone for name, zone in zones.items() if zone is not None}
    every = sum(zone.pixels for zone in there.values())
    rows = tuple(_zone_row(name, zone, every) for name, zone in there.items())
    reach = percent_text(told.reach_percent)
    hint = (
        f"Near: another class is at most {reach} of the picture's diagonal away, in rows and in"
        " columns. Right: of the pixels there, those whose class is right."
    )
    return Section("borders", BORDERS, Table(ZONES, rows), hint=hint, plain=False)


def _zone_row(name: str, zone: Zone, every: int) -> TableRow:
    change = zone.miou - zone.float_miou
    return TableRow(
        (
            Cell(name),
            Cell(share_text(zone.pixels / every if every else None), zone.pixels),
            *(Cell(percent_text(value), value) for value in (zone.float_miou, zone.miou)),
            Cell(f"{change:+.2f}", change),
            *(Cell(percent_text(value), value) for value in (zone.float_accuracy, zone.accuracy)),
        )
    )
