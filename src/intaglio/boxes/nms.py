"""Non-maximum suppression: of boxes that overlap, the surest stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


def areas(boxes: Floats) -> Floats:
    """Return width times height of boxes [n, 4] as [n] float32; 0 where a side is negative."""
    width = np.maximum(boxes[:, 2] - boxes[:, 0], np.float32(0))
    height = np.maximum(boxes[:, 3] - boxes[:, 1], np.float32(0))
    return np.asarray(width * height, np.float32)


def overlaps(a: Floats, b: Floats) -> Floats:
    """Return the areas of intersections over those of unions of two sets of boxes.

    In float32: intersection / ((area of a + area of b) - intersection).

    Args:
        a: [n, 4], left, top, right, bottom.
        b: [m, 4].

    Returns:
        [n, m], from 0 to 1; 0 where both boxes are empty.
    """
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    return _overlaps(a[:, None], b[None], areas(a)[:, None], areas(b)[None])


def _overlaps(a: Floats, b: Floats, area_a: Floats, area_b: Floats) -> Floats:
    """Return overlaps of boxes [..., 4] that broadcast, whose areas are known."""
    zero = np.float32(0)
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    inside = np.maximum(width, zero) * np.maximum(height, zero)
    union = (area_a + area_b) - inside
    shares = np.zeros_like(union)
    np.divide(inside, union, out=shares, where=union > 0)
    return np.asarray(shares, np.float32)


def falling(scores: Floats) -> Indices:
    """Return the indices of scores [n], the highest first, ties by index."""
    return np.argsort(-np.asarray(scores, np.float32), kind="stable").astype(np.int64)


def suppressed(
    boxes: Floats, scores: Floats, overlap: float, *, most: int | None = None
) -> Indices:
    """Return the indices of the boxes that stay, the surest first.

    The surest box stays and removes those that overlap it by more than `overlap`; then the surest
    of the rest, and so on.

    Args:
        boxes: [n, 4], left, top, right, bottom.
        scores: [n]; ties go by index.
        overlap: Intersection over union, 0 to 1. A box that overlaps by exactly this stays.
        most: Stop at so many.
    """
    order = falling(scores)
    boxes = np.asarray(boxes, np.float32)[order]
    area, limit = areas(boxes), np.float32(overlap)
    kept: list[int] = []
    left = np.arange(len(order))
    while len(left) and (most is None or len(kept) < most):
        first, rest = left[0], left[1:]
        kept.append(int(first))
        shares = _overlaps(boxes[first], boxes[rest], area[first], area[rest])
        left = rest[shares <= limit]
    return order[kept]


def suppressed_by(
    boxes: Floats, scores: Floats, groups: Indices, overlap: float, *, most: int | None = None
) -> Indices:
    """Return what `suppressed` keeps where only boxes of one group remove each other.

    Args:
        boxes: [n, 4]; scores: [n]; groups: [n], classes or levels.
        overlap: As `suppressed`.
        most: Keep no more than this, over all groups: the surest, ties by index.
    """
    kept = [np.empty(0, np.int64)]
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        kept.append(members[suppressed(boxes[members], scores[members], overlap, most=most)])
    together = np.sort(np.concatenate(kept))
    return together[falling(scores[together])][:most]
