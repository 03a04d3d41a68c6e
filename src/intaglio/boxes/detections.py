"""What a detector found in one picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes of one picture, the surest first.

    Attributes:
        boxes: [n, 4] float32: left, top, right, bottom, in pixels.
        scores: [n] float32, falling.
        classes: [n] int64: the network's own indices, the background not counted out.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)


NOTHING = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64))
"""Of a picture in which nothing was found."""
