"""What is truly in a picture: the boxes that labels give, and where they lie for the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Placement:
    """Where a picture lies in what the network sees: seen = picture * scale + offset, exactly.

    Attributes:
        scale_x, scale_y: Of the picture's pixels, > 0.
        left, top: Offset, in the network's pixels.
    """

    scale_x: float = 1.0
    scale_y: float = 1.0
    left: float = 0.0
    top: float = 0.0


@dataclass(frozen=True, eq=False)
class Truth:
    """The boxes of one picture.

    Attributes:
        boxes: [n, 4] float32: left, top, right, bottom, in pixels of the picture as it is stored.
        classes: [n] int64, from 0, in the order of the data set's categories.
        crowd: [n] bool: found or not, these count for nothing (COCO's iscrowd, VOC's difficult).
        areas: [n] float64, in pixels: what decides whether an object is small (COCO's own areas are
            of its outline).
        size: (height, width) of the picture; None where the labels do not say it.
        placement: Of the picture in what the network sees; None before it is prepared.
    """

    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    areas: NDArray[np.float64]
    size: tuple[int, int] | None = None
    placement: Placement | None = None

    def __len__(self) -> int:
        return len(self.classes)


@dataclass(frozen=True)
class Category:
    """A class of a data set of boxes.

    Attributes:
        number: As the labels number it (COCO's category id); else its index.
        name: As the labels call it.
    """

    number: int
    name: str
