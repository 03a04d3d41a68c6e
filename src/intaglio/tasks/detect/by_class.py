"""Two detectors class by class: what each found of it, and precision over recall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue

from intaglio.boxes.detections import Detections
from intaglio.data.truth import Truth
from intaglio.report.detection import ClassRow
from intaglio.report.section import Plot, Section
from intaglio.tasks.detect.average_precision import RECALLS, Measure, averaged, curve
from intaglio.tasks.detect.hits import Floats, Hits, hits

LOSERS = 4
"""Classes whose curves are drawn, those that lost most."""
ALL = "all classes"


@dataclass(frozen=True, eq=False)
class ClassPair:
    """What two networks found of one class.

    Attributes:
        row: In numbers.
        real, found: Of the float network and of the other.
    """

    row: ClassRow
    real: Hits
    found: Hits


def class_pairs(
    real: Sequence[Detections],
    found: Sequence[Detections],
    truths: Sequence[Truth],
    *,
    measure: Measure,
    names: Sequence[str] = (),
) -> list[ClassPair]:
    """Return each class of which an object was to be found, that which lost most first.

    Args:
        real, found: Of each picture, in its own pixels, with the classes of the data set.
        truths: Of each picture.
        measure: Of average precision at one overlap.
        names: Of the data set's classes; one without a name is called by its number.

    Raises:
        DataError: If detections and truths are not of as many pictures.
    """
    sides = [hits(each, truths, measure.rule) for each in (real, found)]
    pairs = [_pair(one, other, measure, names) for one, other in zip(*sides, strict=True)]
    return sorted(pairs, key=lambda pair: pair.row.change)  # stable: else as the data set has them


def _pair(real: Hits, found: Hits, measure: Measure, names: Sequence[str]) -> ClassPair:
    once = np.ones((1, len(real.objects)))
    figures = [float(averaged(side, once, measure.points)[0]) for side in (real, found)]
    # as report.json holds them: else a loss of a thousandth is one before a result is loaded only
    told = [round(figure, 2) for figure in figures]
    row = ClassRow(named(real.number, names), int(real.objects.sum()), *told)
    return ClassPair(row, real, found)


def named(number: int, names: Sequence[str]) -> str:
    """Return the name of a class; of one that has none its number, as "class 3"."""
    return (names[number] if number < len(names) else "") or f"class {number}"


def precision_at(of: Hits) -> Floats:
    """Return the largest precision from each recall on, 0..1, [101] of recalls 0, 0.01 .. 1.

    0 where that recall is never reached. The mean is COCO's average precision at this overlap.
    """
    drawn = curve(of)
    largest = np.maximum.accumulate(drawn.precision[::-1])[::-1]
    first = np.searchsorted(drawn.recall, RECALLS, side="left")
    return np.append(largest, 0.0)[first]


def curves_section(pairs: Sequence[ClassPair]) -> Section | None:
    """Return the plot of precision over recall; None where no class has objects.

    Of all classes together (the mean of their precisions: the area below it is the mean average
    precision), and of those that lost most.
    """
    if not pairs:
        return None
    losers = [pair for pair in pairs if pair.row.change < 0.0][:LOSERS]
    curves: list[JsonValue] = [_curve(ALL, pairs), *(_curve(p.row.name, [p]) for p in losers)]
    told = " and of those that lost most" if losers else ""
    return Section(
        "curves-plot",
        "Precision over recall",
        Plot({"curves": curves}),
        hint=(
            f"At an overlap of 0.5, of all classes together{told}: dotted the float network, drawn"
            " through the integer one. Precision is the largest from a recall on. Choose a name to"
            " hide its curves."
        ),
    )


def _curve(name: str, pairs: Sequence[ClassPair]) -> JsonValue:
    """Return what the page's script draws, in percent at recalls 0, 1 .. 100 percent."""
    sides = {"float": [p.real for p in pairs], "integer": [p.found for p in pairs]}
    drawn: dict[str, JsonValue] = {"name": name}
    for side, each in sides.items():
        mean = 100.0 * np.mean([precision_at(one) for one in each], axis=0)
        drawn[side] = mean.round(2).tolist()
    return drawn
