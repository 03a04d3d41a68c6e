"""Which of a core's raw outputs belong together: a number of numbers for each position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from intaglio.boxes.postprocess import Grid, Part, Places


@dataclass(frozen=True)
class Run:
    """Outputs that hold one kind of number of all positions.

    Attributes:
        outputs: One a level, or one for all levels.
        layout: As of `Part`.
        width: Numbers of a position.
    """

    outputs: tuple[int, ...]
    layout: str
    width: int

    def part(self, level: int, start: int) -> Part:
        """Return where the numbers of a level stand, whose first position is `start` of all."""
        if len(self.outputs) == 1:
            return Part(self.outputs[0], self.layout, self.width, 0, self.width, start)
        return Part(self.outputs[level], self.layout, self.width, 0, self.width)


def runs_of(outputs: Sequence[Tensor], places: Sequence[Places]) -> list[Run]:
    """Return all runs over a core's outputs that fit the places, by width and by first output."""
    total = sum(own.count for own in places)
    found = [
        Run((number,), "rows", own.shape[2] if own.ndim == 3 else 1)
        for number, own in enumerate(outputs)
        if own.ndim in (2, 3) and own.shape[1] == total
    ]
    if len(places) > 1 or isinstance(places[0], Grid):
        found += list(_by_level(outputs, places))
    unique = dict.fromkeys(found)
    return sorted(unique, key=lambda run: (run.width, run.outputs))


def _by_level(outputs: Sequence[Tensor], places: Sequence[Places]) -> Iterator[Run]:
    """Give runs of one output a level: side by side, or every second, third ... output."""
    levels = len(places)
    for first in range(len(outputs)):
        for stride in range(1, max(2, len(outputs) // levels + 1)):
            numbers = tuple(first + stride * level for level in range(levels))
            if numbers[-1] >= len(outputs):
                break
            fits = {_fit(outputs[number], own) for number, own in zip(numbers, places, strict=True)}
            if len(fits) == 1 and (fit := fits.pop()) is not None:
                yield Run(numbers, *fit)


def _fit(output: Tensor, own: Places) -> tuple[str, int] | None:
    """Return the layout and the width that an output has, if it is of these places."""
    if output.ndim == 3 and output.shape[1] == own.count:
        return "rows", output.shape[2]
    if not isinstance(own, Grid) or output.ndim != 4:
        return None
    if tuple(output.shape[2:]) != (own.rows, own.columns):
        return None
    width, rest = divmod(output.shape[1], len(own.anchors))
    return None if rest or not width else ("map", width)
