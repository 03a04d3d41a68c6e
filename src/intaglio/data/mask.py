"""What is truly at each pixel of a picture: a class, or nothing that counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from intaglio.data.truth import Placement

IGNORED = 255
"""In place of a class: whatever is said of this pixel counts for nothing."""


@runtime_checkable
class UnreadMask(Protocol):
    """The label of a picture whose classes are read when its turn comes: a file, or outlines."""

    def read(self, size: tuple[int, int], name: str) -> NDArray[np.uint8]:
        """Return the class of each pixel, [H, W], IGNORED where there is none.

        Args:
            size: (height, width) of the picture, as it is stored.
            name: Of the picture, for messages.

        Raises:
            DataError: If it cannot be read, is of another size, or holds an index of no class.
        """


@dataclass(frozen=True, eq=False)
class Mask:
    """The classes of one picture.

    Attributes:
        classes: [H, W] uint8, from 0, in the order of the data set's categories; IGNORED: none.
        placement: Of the picture in what the network sees; None before it is prepared.
        picture: [H, W, 3], RGB, the picture itself; None where nobody is going to look at it.
    """

    classes: NDArray[np.uint8]
    placement: Placement | None = None
    picture: NDArray[np.uint8] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture."""
        height, width = self.classes.shape
        return height, width
