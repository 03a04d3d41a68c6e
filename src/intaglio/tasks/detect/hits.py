"""Which detections are right: those of one class over all pictures, held against the truth.

Two rules. COCO (Lin et al. 2014, arXiv:1405.0312, and its published evaluation): the surest
detection takes the object that it overlaps most of those still free, at ten overlaps from 0.5 on;
objects outside of a range of areas, and crowds, are neither to be found nor wrong to find. PASCAL
VOC (Everingham et al. 2010, section 4.2): a detection belongs to the object that it overlaps most,
and is wrong where a surer one has taken it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from intaglio.boxes.detections import Detections
from intaglio.data.truth import Truth
from intaglio.errors import DataError
from intaglio.tasks.detect.placed import chosen

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Rule:
    """How detections are held against the truth.

    Attributes:
        overlaps: Intersection over union from which on an object is found, rising, 0 < . < 1.
        areas: Objects from the one to the other are to be found, in pixels of area, both included.
        is_voc: Whether a detection belongs to the object that it overlaps most, free or not.
        most: Detections of a class in a picture that count, the surest; None: all.
    """

    overlaps: tuple[float, ...]
    areas: tuple[float, float] = (0.0, 1e10)
    is_voc: bool = False
    most: int | None = None


@dataclass(frozen=True, eq=False)
class Hits:
    """What the detections of one class come to, the surest first.

    Attributes:
        number: The class.
        pictures: [d] int64, the picture of each detection.
        scores: [d] float32.
        right: [T, d]: whether it found an object, at each overlap.
        wrong: [T, d]: whether it found none. Neither: it counts for nothing.
        objects: [pictures] int64: those of each picture that were to be found.
    """

    number: int
    pictures: NDArray[np.int64]
    scores: NDArray[np.float32]
    right: Flags
    wrong: Flags
    objects: NDArray[np.int64]


def hits(found: Sequence[Detections], truths: Sequence[Truth], rule: Rule) -> list[Hits]:
    """Return the hits of each class of which an object was to be found, by rising class.

    Args:
        found: Of each picture, in its own pixels, with the classes of the data set.
        truths: Of each picture.

    Raises:
        DataError: If they are not of as many pictures.
    """
    if len(found) != len(truths):
        raise DataError(
            f"there are detections of {len(found)} pictures, and labels of {len(truths)}"
        )
    if not truths:
        return []
    order = [_surest(detections, rule.most) for detections in found]
    kept = [chosen(detections, own) for detections, own in zip(found, order, strict=True)]
    pairs = list(zip(kept, truths, strict=True))
    came = np.concatenate([_came(*pair, rule) for pair in pairs], axis=1)  # [T, d]
    pictures = np.repeat(np.arange(len(kept)), [len(one) for one in kept])
    classes, scores = (
        np.concatenate([getattr(one, name) for one in kept]) for name in ("classes", "scores")
    )
    by_class = np.lexsort((-scores, classes))
    sorted_classes, objects = classes[by_class], _objects(truths, rule)
    made = []
    for number in sorted(objects):
        low, high = np.searchsorted(sorted_classes, [number, number + 1])
        own = by_class[low:high]
        right, wrong = came[:, own] == _RIGHT, came[:, own] == _WRONG
        made.append(Hits(number, pictures[own], scores[own], right, wrong, objects[number]))
    return made


def _surest(detections: Detections, most: int | None) -> NDArray[np.intp]:
    """Return the indices of the surest detections of each class, the surest of all first."""
    order = np.argsort(-detections.scores, kind="stable")
    if most is None or len(order) <= most:
        return order
    classes = detections.classes[order]
    by_class = np.argsort(classes, kind="stable")
    begins = np.searchsorted(classes[by_class], classes[by_class])
    rank = np.empty(len(order), np.int64)
    rank[by_class] = np.arange(len(order)) - begins  # among those of its class
    return order[rank < most]


def _came(detections: Detections, truth: Truth, rule: Rule) -> NDArray[np.int8]:
    """Return what each detection of a picture comes to, [T, d], the surest first."""
    ignored = _ignored(truth, rule)
    overlaps = overlaps_of(detections.boxes, truth.boxes, truth.crowd & (not rule.is_voc))
    overlaps[detections.classes[:, None] != truth.classes] = 0.0
    take = _taken_as_voc if rule.is_voc else _taken_as_coco
    came = take(overlaps, np.array(rule.overlaps), truth.crowd, ignored)
    sides = (detections.boxes[:, 2:].astype(np.float64) - detections.boxes[:, :2]).prod(1)
    inside = (sides >= rule.areas[0]) & (sides <= rule.areas[1])
    return np.where(came == _ALONE, np.where(inside, _WRONG, _IGNORED), came).astype(np.int8)


def _ignored(truth: Truth, rule: Rule) -> Flags:
    low, high = rule.areas
    return np.asarray(truth.crowd | (truth.areas < low) | (truth.areas > high))


def _objects(truths: Sequence[Truth], rule: Rule) -> dict[int, NDArray[np.int64]]:
    """Return how many objects of each class are to be found in each picture."""
    counts: dict[int, NDArray[np.int64]] = {}
    for picture, truth in enumerate(truths):
        for number in truth.classes[~_ignored(truth, rule)].tolist():
            counts.setdefault(number, np.zeros(len(truths), np.int64))[picture] += 1
    return counts


def overlaps_of(boxes: NDArray[np.float32], objects: NDArray[np.float32], crowd: Flags) -> Floats:
    """Return intersection over union, [d, g] float64; of a crowd, over the detection's own area.

    Args:
        boxes: [d, 4] of detections.
        objects: [g, 4].
        crowd: [g].
    """
    one, other = boxes.astype(np.float64)[:, None], objects.astype(np.float64)[None]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared = sides.clip(0.0).prod(-1)
    own, others = ((b[..., 2:] - b[..., :2]).prod(-1) for b in (one, other))
    union = np.where(crowd, own, own + others - shared)
    shares: Floats = np.zeros_like(shared)
    np.divide(shared, union, out=shares, where=shared > 0.0)
    return shares


_ALONE, _RIGHT, _WRONG, _IGNORED = 0, 1, 2, 3
"""What a detection came to: it overlaps nothing; found an object; found one that a surer one had
found; found what counts for nothing."""

_Take = Callable[[Floats, Floats, Flags, Flags], NDArray[np.int8]]


def _taken_as_coco(
    overlaps: Floats, least: Floats, crowd: Flags, ignored: Flags
) -> NDArray[np.int8]:
    """Return what each detection comes to, [T, d]; of equal overlaps the last object is taken.

    A crowd may be found again and again, and an ignored object only where no other is free.
    """
    came = np.full((len(least), len(overlaps)), _ALONE, np.int8)
    if not overlaps.size:
        return came
    taken = np.zeros((len(least), overlaps.shape[1]), np.bool_)
    for index in np.flatnonzero(overlaps.max(1) >= least.min()):
        free = (overlaps[index] >= least[:, None]) & (~taken | crowd)  # [T, g]
        wanted = free & ~ignored
        free = np.where(wanted.any(1, keepdims=True), wanted, free)
        best = np.where(free, overlaps[index], -1.0)[:, ::-1].argmax(1)
        best = overlaps.shape[1] - 1 - best
        (levels,) = free.any(1).nonzero()
        taken[levels, best[levels]] = True
        came[levels, index] = np.where(ignored[best[levels]], _IGNORED, _RIGHT)
    return came


def _taken_as_voc(
    overlaps: Floats, least: Floats, crowd: Flags, ignored: Flags
) -> NDArray[np.int8]:
    """Return what each detection comes to, [T, d]; of equal overlaps the first object is taken."""
    came = np.full((len(least), len(overlaps)), _ALONE, np.int8)
    if not overlaps.size:
        return came
    taken = np.zeros((len(least), overlaps.shape[1]), np.bool_)
    for index in np.flatnonzero(overlaps.max(1) >= least.min()):
        best = overlaps[index].argmax()
        levels = np.flatnonzero(overlaps[index, best] >= least)
        found = np.where(taken[levels, best], _WRONG, _RIGHT)
        came[levels, index] = _IGNORED if ignored[best] else found
        taken[levels, best] = True
    return came
