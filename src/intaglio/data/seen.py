"""Boxes in pixels of what the network sees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from intaglio.data.truth import Placement, Truth
from intaglio.errors import DataError


def are_truths(labels: Any) -> TypeGuard[list[Truth]]:
    """Whether the labels of a batch are the boxes of each image."""
    return isinstance(labels, list) and all(isinstance(entry, Truth) for entry in labels)


def seen_boxes(truth: Truth) -> NDArray[np.float32]:
    """Return the boxes of a truth in pixels of the network's input, [n, 4].

    seen = picture * scale + offset, in float64.

    Raises:
        DataError: If it has no placement.
    """
    scale, offset = scale_and_offset(truth)
    return np.asarray(truth.boxes.astype(np.float64) * scale + offset, np.float32)


def scale_and_offset(truth: Truth) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return by what a box [4] of the picture is multiplied, and what is added, to be seen.

    Raises:
        DataError: If the truth has no placement.
    """
    place = truth.placement
    if place is None:
        raise DataError(
            "the truth of a picture says not where the picture lies in the network's input: give it"
            " a placement, Placement() where the input is the picture itself"
        )
    return np.array([place.scale_x, place.scale_y] * 2), np.array([place.left, place.top] * 2)


def seen_truth(truth: Truth, size: tuple[int, int]) -> Truth:
    """Return a truth whose picture is the network's input, of `size` (height, width).

    Raises:
        DataError: If it has no placement.
    """
    return replace(with_boxes(truth, seen_boxes(truth)), size=size, placement=Placement())


def with_boxes(truth: Truth, boxes: NDArray[np.float32]) -> Truth:
    """Return a truth with other boxes [n, 4], whose areas are the boxes' own."""
    areas = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64).prod(axis=1)
    return replace(truth, boxes=boxes, areas=areas)


def within(truth: Truth, size: tuple[int, int]) -> Truth:
    """Return the boxes of a truth cut off at a border (height, width).

    Those whose centre lies beyond it are left out, and those that have no area in it.
    """
    ends = np.array([size[1], size[0]] * 2, np.float32)
    centres = (truth.boxes[:, :2] + truth.boxes[:, 2:]) / 2
    cut = truth.boxes.clip(np.float32(0), ends)
    kept = ((centres >= 0) & (centres < ends[:2]) & (cut[:, 2:] > cut[:, :2])).all(axis=1)
    found = replace(truth, classes=truth.classes[kept], crowd=truth.crowd[kept])
    return with_boxes(found, cut[kept])
