"""What a report tells of two networks class by class: a table, and how many classes changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from intaglio.report.section import Cell, Column, Section, Table, TableRow, Worst
from intaglio.report.words import percent_text

WORST = 8
"""Classes that a terminal shows."""


@dataclass(frozen=True)
class ClassChange:
    """One class.

    Attributes:
        name: As the labels call it.
        count: Of what there is of it.
        before, after: The figure of the float network and of the integer one, in percent.
    """

    name: str
    count: int
    before: float
    after: float

    @property
    def points(self) -> float:
        """Points gained; below 0: lost."""
        return self.after - self.before


def class_section(title: str, columns: Sequence[Column], rows: Sequence[ClassChange]) -> Section:
    """Return the table of classes; of a terminal's table only the classes that lost.

    Args:
        title: Of the section.
        columns: Of the name, the count, both figures and the change.
        rows: The class that lost most first.
    """
    lost = tuple(place for place, row in enumerate(rows) if row.points < 0.0)
    worst = Worst("Classes that lost most", lost[:WORST], tuple(one.key for one in columns))
    made = tuple(map(_row, rows))
    table = Table(tuple(columns), made, sort_word="classes", worst=worst)
    return Section("classes", title, table, plain=False)


def lost_and_won(rows: Sequence[ClassChange]) -> tuple[int, int]:
    """Return how many classes lost, and how many gained."""
    lost, won = (sum(sign * row.points < 0.0 for row in rows) for sign in (1, -1))
    return lost, won


def _row(row: ClassChange) -> TableRow:
    return TableRow(
        (
            Cell(row.name),
            Cell(f"{row.count:,}", row.count),
            Cell(percent_text(row.before), row.before),
            Cell(percent_text(row.after), row.after),
            Cell(f"{row.points:+.2f}", row.points),
        )
    )
