"""A map of numbers, seen at the pixels of a picture: bilinear between places, held at the border.

Arithmetic is elementwise, in float64 for places and float32 for numbers, in the order that is
written here: no sum whose order a library chooses, so that all machines give the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Affine:
    """Where a picture lies in a network's input: seen = picture * scale + offset.

    Attributes:
        input_size: (height, width) of the network's input, in pixels.
        scale_x, scale_y: Of the picture's pixels, > 0.
        left, top: Offset, in the input's pixels.
    """

    input_size: tuple[int, int]
    scale_x: float = 1.0
    scale_y: float = 1.0
    left: float = 0.0
    top: float = 0.0


@dataclass(frozen=True, eq=False)
class Steps:
    """Between which places of a map the pixels along one side of a picture lie.

    Attributes:
        low, high: [n], places, from 0.
        part: [n] float32, of the way from low to high, 0..1.
        nearest: [n], the place in whose cell the pixel's centre lies.
    """

    low: Indices
    high: Indices
    part: Floats
    nearest: Indices

    def cut(self, begin: int, end: int) -> Steps:
        """Return those of some of the pixels, `end` not among them."""
        span = slice(begin, end)
        return Steps(self.low[span], self.high[span], self.part[span], self.nearest[span])


def steps_of(
    affine: Affine, size: tuple[int, int], *, places: tuple[int, int]
) -> tuple[Steps, Steps]:
    """Return the steps of a picture's rows, and of its columns.

    Cells of the map share the input evenly, and pixels and cells are known by their centres (what
    PyTorch calls align_corners=False).

    Args:
        affine: Where the picture lies in the input.
        size: (height, width) of the picture.
        places: (height, width) of the map.
    """
    height, width = affine.input_size
    rows = _steps(size[0], (affine.scale_y, affine.top), places[0] / height, places[0])
    columns = _steps(size[1], (affine.scale_x, affine.left), places[1] / width, places[1])
    return rows, columns


def sampled_plane(plane: Floats, rows: Steps, columns: Steps) -> Floats:
    """Return one channel [h, w] at some rows and columns of a picture, [rows, columns] float32.

    low + (high - low) * part, along rows first (x), then down columns (y).
    """
    first, last = int(rows.low[0]), int(rows.high[-1]) + 1
    band = plane[first:last]
    wide = _between(band[:, columns.low], band[:, columns.high], columns.part)
    return _between(wide[rows.low - first], wide[rows.high - first], rows.part[:, None])


def sampled(scores: Floats, *, affine: Affine, size: tuple[int, int]) -> Floats:
    """Return maps [C, h, w] at the pixels of a picture, [C, height, width] float32.

    Memory: as much as is returned, and a few of its channels.

    Args:
        scores: [C, h, w], finite.
        affine: Where the picture lies in the network's input.
        size: (height, width) of the picture.
    """
    rows, columns = steps_of(affine, size, places=(scores.shape[-2], scores.shape[-1]))
    found = np.empty((len(scores), *size), np.float32)
    for plane, into in zip(np.asarray(scores, np.float32), found, strict=True):
        into[:] = sampled_plane(plane, rows, columns)
    return found


def _steps(count: int, line: tuple[float, float], share: float, places: int) -> Steps:
    """Return the steps of pixels at (index + 1/2) * scale + offset, `share` places to a pixel."""
    scale, offset = line
    at = ((np.arange(count, dtype=np.float64) + 0.5) * scale + offset) * share
    nearest = np.clip(np.floor(at), 0, places - 1).astype(np.int64)
    inner = np.clip(at - 0.5, 0, places - 1)
    low = np.floor(inner).astype(np.int64)
    part = np.asarray(inner - low, np.float32)
    return Steps(low, np.minimum(low + 1, places - 1), part, nearest)


def _between(low: Floats, high: Floats, part: Floats) -> Floats:
    """Return low + (high - low) * part, made in the memory of `high`."""
    np.subtract(high, low, out=high)
    np.multiply(high, part, out=high)
    return np.add(high, low, out=high)
