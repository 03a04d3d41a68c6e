"""How well the borders of classes are drawn: precision and recall of border pixels, and their F.

Source: Csurka, Larlus, Perronnin 2013 (What is a good evaluation measure for semantic
segmentation?), section 3.2: of each class of a picture, the pixels of its border in the one map
that have some of its border in the other within a tolerance of 0.75 % of the picture's diagonal.
We differ: what is near is told by rows and columns, both within the tolerance (Chebyshev's
distance), rather than by the straight line; and what lies beside pixels that are IGNORED is left
out.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from intaglio.data.mask import IGNORED

Classes = NDArray[np.uint8]
Marks = NDArray[np.unsignedinteger]

TOLERANCE = 0.0075
"""Of a picture's diagonal; that is 4 pixels of 500 x 375."""
GROUP = 64
"""Classes that are looked at together, a bit each."""


def tolerance_of(size: tuple[int, int]) -> int:
    """Return how many rows and columns apart border pixels may be, >= 1.

    Args:
        size: (height, width) of the picture.
    """
    return max(int(TOLERANCE * math.hypot(*size)), 1)


def boundary_f(truth: Classes, found: Classes, *, tolerance: int | None = None) -> float:
    """Return the mean F, 0..1, over the classes of the truth that have a border in the picture.

    F = 2 precision recall / (precision + recall), 0 where nothing is near. NaN where no class has
    a border that counts.

    Args:
        truth: [H, W], classes or IGNORED.
        found: [H, W], classes.
        tolerance: In pixels, >= 1; None: `tolerance_of` the picture.
    """
    height, width = truth.shape
    each = boundary_counts(truth, found, tolerance or tolerance_of((height, width)))
    each = each[each[:, 2] > 0].astype(np.float64)
    if not len(each):
        return float("nan")
    drawn, matched, there, met = each.T
    precision, recall = matched / np.maximum(drawn, 1), met / there
    return float((2 * precision * recall / np.maximum(precision + recall, 1e-300)).mean())


def boundary_counts(truth: Classes, found: Classes, tolerance: int) -> NDArray[np.int64]:
    """Return counts of border pixels of each class of the truth, [classes of the truth, 4].

    Those found, those of them that the truth has near, those of the truth, those of them that are
    found near. A pixel is of a class's border where one of its 4 neighbours is of another class;
    the picture's own border is none. One that is IGNORED is of no border and makes none, and
    border pixels within the tolerance of it count neither way: what they should meet may be hidden.

    Args:
        truth: [H, W], classes or IGNORED.
        found: [H, W], classes.
        tolerance: In pixels, >= 1.
    """
    ignored = truth == IGNORED
    masked = np.where(ignored, np.uint8(IGNORED), found)
    edges = _edges(truth), _edges(masked)
    counted = ~widened(ignored.view(np.uint8), tolerance).view(bool) if ignored.any() else None
    classes = np.unique(truth[~ignored])
    groups = [classes[begin : begin + GROUP] for begin in range(0, len(classes), GROUP)]
    counts = [
        _group_counts((truth, masked), edges, group, (tolerance, counted)) for group in groups
    ]
    return np.concatenate(counts) if counts else np.zeros((0, 4), np.int64)


def widened(marks: Marks, reach: int) -> Marks:
    """Return the bits of all pixels at most `reach` rows and columns away, [H, W].

    By windows twice as long from step to step: log2(2 reach + 1) looks at the picture each way.

    Args:
        marks: [H, W], bits.
        reach: In pixels, >= 0.
    """
    found = np.pad(marks, reach)
    long = 2 * reach + 1
    size = 1
    while size < long:
        step = min(size, long - size)
        found = found[:-step] | found[step:]
        size += step
    size = 1
    while size < long:
        step = min(size, long - size)
        found = found[:, :-step] | found[:, step:]
        size += step
    return found


def _edges(classes: Classes) -> NDArray[np.bool_]:
    """Return which pixels have a neighbour of another class, [H, W]; IGNORED is none."""
    found = np.zeros(classes.shape, np.bool_)
    counts = classes != IGNORED
    for one, other in (
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        apart = (classes[one] != classes[other]) & counts[one] & counts[other]
        found[one] |= apart
        found[other] |= apart
    return found


def _group_counts(
    maps: tuple[Classes, Classes],
    edges: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    group: Classes,
    near: tuple[int, NDArray[np.bool_] | None],
) -> NDArray[np.int64]:
    """Return the counts [len(group), 4] of a few classes of the truth.

    Args:
        maps: The truth and what was found.
        edges: Of each, which pixels are of a border.
        near: The tolerance, and which pixels count; None: all.
    """
    kind = np.min_scalar_type((1 << len(group)) - 1)
    bits = np.zeros(IGNORED + 1, kind)
    bits[group] = [1 << place for place in range(len(group))]
    tolerance, counted = near
    marks = [
        np.where(edge, bits[each], kind.type(0)) for each, edge in zip(maps, edges, strict=True)
    ]
    counts = []
    for own, other, each in ((1, 0, maps[1]), (0, 1, maps[0])):
        there = marks[own] if counted is None else np.where(counted, marks[own], kind.type(0))
        met = there & widened(marks[other], tolerance)
        for kept in (there, met):
            counts.append(np.bincount(each[kept != 0], minlength=IGNORED + 1)[group])
    return np.stack(counts, axis=1)
