"""Truths as tensors, which several processes can send each other, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intaglio.data.truth import Placement, Truth

PARTS = 6
"""Tensors that truths are packed into."""
UNKNOWN = -1
"""In place of a size that is not known."""


def packed_truths(truths: Sequence[Truth]) -> list[Tensor]:
    """Return the truths of N images with T boxes together, as PARTS tensors.

    Those of two batches, joined one behind the other, are the truths of both.

    Returns:
        Counts [N], boxes [T, 4], classes [T], crowd [T], areas [T], and of each image its size and
        placement, float64 [N, 7]: height, width (UNKNOWN), whether it is placed, scales, offset.
    """
    counts = torch.tensor([len(truth) for truth in truths], dtype=torch.int64)
    boxes = _joined([truth.boxes.reshape(-1, 4) for truth in truths], np.empty((0, 4), np.float32))
    classes = _joined([truth.classes for truth in truths], np.empty(0, np.int64))
    crowd = _joined([truth.crowd for truth in truths], np.empty(0, np.bool_))
    areas = _joined([truth.areas for truth in truths], np.empty(0, np.float64))
    rows = [place_row(truth.size or (UNKNOWN, UNKNOWN), truth.placement) for truth in truths]
    return [
        counts,
        boxes,
        classes,
        crowd,
        areas,
        torch.tensor(rows, dtype=torch.float64).reshape(-1, 7),
    ]


def unpacked_truths(parts: Sequence[Tensor]) -> list[Truth]:
    """Return the truths that `packed_truths` made these of, equal to the last bit."""
    counts, *own, places = parts
    split = [each.numpy() for each in own]
    ends = counts.cumsum(0).tolist()
    found = []
    for count, end, row in zip(counts.tolist(), ends, places.tolist(), strict=True):
        boxes, classes, crowd, areas = (each[end - count : end] for each in split)
        height, width, is_placed, *place = row
        size = None if height == UNKNOWN else (int(height), int(width))
        found.append(
            Truth(boxes, classes, crowd, areas, size, Placement(*place) if is_placed else None)
        )
    return found


def _joined(parts: Sequence[NDArray[Any]], none: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.concatenate([none, *parts]))


def place_row(size: tuple[int, int], placement: Placement | None) -> list[float]:
    """Return 7 numbers of a picture: its (height, width), whether it is placed, and where."""
    place = placement or Placement()
    scales = [place.scale_x, place.scale_y, place.left, place.top]
    return [*size, float(placement is not None), *scales]
