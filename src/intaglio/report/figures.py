"""How a task's figures are told: what stands in report.json as a key and a number, and no more.

A report knows no task: it is given the wording of one, and tells a figure that the wording does not
know by its key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from intaglio.report.section import Section

FLOAT = "float_"
"""Begins the key of a figure of the float network that stands beside the integer network's."""

PERCENT, DECIBEL = "%", "dB"
"""Units. Of the second, infinity (no noise at all) is null in report.json."""


@dataclass(frozen=True)
class Figure:
    """How one figure is told.

    Attributes:
        title: Its name in a table of figures, such as "Accuracy".
        unit: PERCENT, DECIBEL, or "" for a plain number.
        digits: Decimals in report.json; None: as it was measured.
        limits: The least and the largest that it can be; None where there are none.
        column: Its name as a column, and within a line; "" is the title with a small letter.
    """

    title: str
    unit: str = ""
    digits: int | None = None
    limits: tuple[float, float] | None = None
    column: str = ""

    @property
    def short(self) -> str:
        """Its name as a column."""
        return self.column or self.title[:1].lower() + self.title[1:]


def percentage(title: str, column: str = "") -> Figure:
    """Return a figure in percent, told with two decimals."""
    return Figure(title, PERCENT, digits=2, limits=(0.0, 100.0), column=column)


def _no_sections(report: Any) -> Sequence[Section]:
    return ()


@dataclass(frozen=True)
class Wording:
    """How the figures of one task are told.

    Attributes:
        figures: By name in report.json. A figure "NAME.OUTPUT" is told as NAME is, of that output.
        agreement: The share of images for which both networks say the same.
        sections: What the task adds to a report, from the report alone.
    """

    figures: Mapping[str, Figure] = field(default_factory=dict)
    agreement: Figure = field(default_factory=lambda: percentage("Same as float"))
    sections: Callable[[Any], Sequence[Section]] = _no_sections

    def knows(self, name: str) -> bool:
        """Whether a figure of this name in report.json is the task's."""
        return _base(name) in self.figures

    def of(self, name: str) -> Figure:
        """Return how a figure is told."""
        found = self.figures.get(_base(name))
        if found is None:
            return Figure(name, column=name)
        _, _, output = name.partition(".")
        if not output:
            return found
        return Figure(f"{found.title} of {output}", found.unit, found.digits, found.limits)


PLAIN = Wording()
"""Tells every figure by its key."""


def _base(name: str) -> str:
    return name.removeprefix(FLOAT).partition(".")[0]
