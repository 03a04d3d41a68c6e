"""Average precision: the area below the precision of a detector, over the recall that it reaches.

    AP = sum over detections of (largest precision from here on) * (recall gained here)

All detections of a class are taken in the order of their scores; the figure is the mean over
classes. What "recall gained" is, is the one difference between the metrics of PASCAL VOC from 2010
on (recall itself: the area), of PASCAL VOC 2007 (eleven recalls 0, 0.1 .. 1, Everingham et al.
2010, section 4.2), and of COCO (a hundred and one, and ten overlaps).

Every picture may count several times or not at all, which is what a bootstrap needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from intaglio.boxes.detections import Detections
from intaglio.data.truth import Truth
from intaglio.tasks.detect.hits import Floats, Hits, Rule, hits

Points = Literal["area", "eleven", "coco"]
"""Recalls at which precision is looked at: every one, eleven, or a hundred and one."""

RECALLS = np.linspace(0.0, 1.0, 101)
OVERLAPS = tuple(np.linspace(0.5, 0.95, 10).tolist())
SMALL, LARGE = 32.0**2, 96.0**2
"""COCO: objects up to the first area are small, from the second on large."""
MOST_NUMBERS = 2**21
"""Of one array in which pictures are counted with weights: 16 MiB."""


@dataclass(frozen=True, eq=False)
class Measure:
    """How one figure is made.

    Attributes:
        rule: By which detections are right.
        points: At which recalls.
    """

    rule: Rule
    points: Points


MEASURES = {
    "ap": Measure(Rule(OVERLAPS, most=100), "coco"),
    "ap50": Measure(Rule(OVERLAPS[:1], most=100), "coco"),
    "ap75": Measure(Rule(OVERLAPS[5:6], most=100), "coco"),
    "ap_small": Measure(Rule(OVERLAPS, (0.0, SMALL), most=100), "coco"),
    "ap_medium": Measure(Rule(OVERLAPS, (SMALL, LARGE), most=100), "coco"),
    "ap_large": Measure(Rule(OVERLAPS, (LARGE, 1e10), most=100), "coco"),
    "voc_ap50": Measure(Rule(OVERLAPS[:1], is_voc=True), "area"),
}
"""By the names of figures in report.json."""


def voc_figures(
    found: Sequence[Detections],
    truths: Sequence[Truth],
    *,
    overlap: float = 0.5,
    points: Literal["area", "eleven"] = "area",
) -> dict[str, float]:
    """Return the mean average precision of PASCAL VOC, in percent, as "voc_ap50".

    The number in its name is the overlap in percent. Classes of which no object was to be found are
    left out of the mean; {} where there is none at all. Difficult objects (`Truth.crowd`) count
    neither for nor against.

    Boxes are real intervals: VOC's pixels are whole and both ends belong to the box, which is the
    same where labels were read as left - 1, top - 1, right, bottom.

    Args:
        found: Of each picture, in its own pixels, with the classes of the data set.
        truths: Of each picture.
        overlap: Intersection over union from which on an object is found.
        points: "area" since 2010, "eleven" before.

    Raises:
        DataError: If they are not of as many pictures.
    """
    each = by_class(hits(found, truths, Rule((overlap,), is_voc=True)), points)
    return {f"voc_ap{100 * overlap:.0f}": _mean(each)} if each else {}


def counted_figures(found: Sequence[Detections], truths: Sequence[Truth]) -> dict[str, float]:
    """Return what `coco_figures` does, with 100 detections of a class in a picture.

    By the code here, without pycocotools, and some fifty times faster: for searches.

    Args, Raises: As `voc_figures`.
    """
    found_of = {
        name: by_class(hits(found, truths, measure.rule), measure.points)
        for name, measure in MEASURES.items()
        if measure.points == "coco"
    }
    return {name: _mean(each) for name, each in found_of.items() if each}


def by_class(of: Sequence[Hits], points: Points) -> dict[int, float]:
    """Return the average precision of each class in percent, the mean over overlaps.

    ap50 of COCO is that of `hits(found, truths, MEASURES["ap50"].rule)` with points "coco".
    """
    return {
        one.number: float(averaged(one, np.ones((1, len(one.objects))), points)[0]) for one in of
    }


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision over recall of one class, at one overlap.

    Attributes:
        scores: [d] float32, falling: from which on detections are counted.
        recall: [d] float64, 0..1: objects found, of all.
        precision: [d] float64, 0..1: right ones of the detections that count.
    """

    scores: NDArray[np.float32]
    recall: Floats
    precision: Floats


def curve(of: Hits, level: int = 0) -> Curve:
    """Return the curve of a class at one of its overlaps, by the overlap's index."""
    right, wrong = (flags[level].cumsum() for flags in (of.right, of.wrong))
    total = np.maximum(right + wrong, 1)
    return Curve(of.scores, right / of.objects.sum(), right / total)


def figures_by_weight(of: Sequence[Hits], weights: Floats, points: Points) -> Floats:
    """Return the mean over classes of average precision in percent, [R].

    A class without objects in the pictures that count is left out; NaN where none is left.

    Args:
        of: The hits of each class.
        weights: [R, pictures], whole numbers: how often each picture counts.
    """
    total, classes = np.zeros(len(weights)), np.zeros(len(weights))
    for one in of:
        each = averaged(one, weights, points)
        total += np.nan_to_num(each)
        classes += ~np.isnan(each)
    mean = np.full(len(weights), np.nan)
    np.divide(total, classes, out=mean, where=classes > 0)
    return mean


def averaged(of: Hits, weights: Floats, points: Points) -> Floats:
    """Return the average precision of one class in percent, the mean over overlaps, [R].

    NaN where no object of it is in the pictures that count.

    Args:
        weights: [R, pictures], whole numbers: how often each picture counts.
    """
    objects = weights @ of.objects
    step = max(1, MOST_NUMBERS // max(len(of.scores), 1))
    parts = [slice(begin, begin + step) for begin in range(0, len(weights), step)]
    found = [_averaged(of, weights[part], objects[part], points) for part in parts]
    return np.where(objects > 0, 100.0 * np.concatenate(found), np.nan)


def _averaged(of: Hits, weights: Floats, objects: Floats, points: Points) -> Floats:
    """Return the average precision, the mean over overlaps, 0..1, [R].

    Precision is largest, and recall gained, at detections that are right: the others only count.
    """
    each = weights[:, of.pictures]  # [R, d]
    counted = each.cumsum(1)
    total = np.zeros(len(weights))
    for is_right, is_wrong in zip(of.right, of.wrong, strict=True):
        (at,), (without,) = is_right.nonzero(), (~(is_right | is_wrong)).nonzero()
        right = each[:, at].cumsum(1)
        passed = np.pad(each[:, without].cumsum(1), ((0, 0), (1, 0)))
        both = counted[:, at] - passed[:, np.searchsorted(without, at)]
        precision = np.divide(right, both, out=np.zeros_like(right), where=both > 0)
        largest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        reached = _reached(right, np.maximum(objects, 1.0)[:, None], points)
        total += (largest * np.diff(reached, axis=1, prepend=0.0)).sum(1)
    return total / len(of.right)


def _reached(right: Floats, objects: Floats, points: Points) -> Floats:
    """Return the share of the recalls that are looked at, up to this many objects found, 0..1."""
    if points == "eleven":
        # in whole numbers: 3 of 10 objects do reach a recall of 0.3, which as a float is above it
        return (np.floor_divide(10.0 * right, objects) + 1.0) / 11.0
    if points == "coco":
        return np.searchsorted(RECALLS, right / objects, side="right") / len(RECALLS)
    return right / objects


def _mean(each: dict[int, float]) -> float:
    return float(np.mean(list(each.values())))
