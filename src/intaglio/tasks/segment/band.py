"""Which pixels are near a border of classes, where segmenters err most.

Source: Kohli, Ladicky, Torr 2009, section 5 (the trimap). We differ: how near is near goes by the
size of the picture, and only classes have borders, pixels that count for nothing have none.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from intaglio.data.mask import IGNORED

REACH = 0.015
"""Of a picture's diagonal: up to so far from another class a pixel is near a border. That is 9
pixels of 500 x 375, more than the 5 that PASCAL VOC leaves without a class at borders."""


def reach_of(size: tuple[int, int]) -> int:
    """Return how far from another class a pixel of such a picture is near a border, in pixels.

    Args:
        size: (height, width).
    """
    return max(round(REACH * math.hypot(*size)), 1)


def band(classes: NDArray[np.uint8], reach: int) -> NDArray[np.bool_]:
    """Return whether each pixel is near a border of classes, [H, W].

    It is where a pixel of another class is at most `reach` rows and columns away; pixels that are
    IGNORED are neither near a border nor make one.

    Args:
        classes: [H, W], what is truly there.
        reach: In pixels, >= 1.
    """
    counts = classes != IGNORED
    largest = windowed(np.where(counts, classes, np.uint8(0)), reach, np.maximum, fill=0)
    least = windowed(classes, reach, np.minimum, fill=IGNORED)
    near: NDArray[np.bool_] = counts & (largest != least)
    return near


def windowed(
    values: NDArray[np.uint8], reach: int, pick: np.ufunc, *, fill: int
) -> NDArray[np.uint8]:
    """Return the largest, or least, value around each pixel, [H, W].

    Of the window of 2 reach + 1 rows and columns with the pixel in its middle, by windows twice as
    long from step to step: log2(2 reach + 1) looks at all pixels in each direction.

    Args:
        values: [H, W].
        reach: In pixels, >= 0.
        pick: np.maximum or np.minimum.
        fill: What stands beyond the picture.
    """
    found = np.pad(values, reach, constant_values=fill)
    long = 2 * reach + 1
    for _ in range(2):
        size = 1
        while size < long:
            step = min(size, long - size)
            found = pick(found[:-step], found[step:])
            size += step
        found = found.T
    return np.ascontiguousarray(found)
