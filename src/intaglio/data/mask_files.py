"""Masks that are PNG files: the number at a pixel is its class, whatever colour shows it.

A palette file holds indices into its palette, and these are the classes; the colours are not looked
at. A grey file holds the classes as its levels. Files of colours alone are refused: which colour is
which class they do not say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from intaglio.data.dataset import FileSource
from intaglio.data.decode import stored_image
from intaglio.data.label_files import counted
from intaglio.data.mask import IGNORED
from intaglio.errors import DataError

ENDING = ".png"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEPTH = 24
"""Where the bits of a level stand in a PNG file: behind signature, length, name and two sides."""
_WAYS = (
    "save it as a PNG of mode P (palette) or L (8 bits grey) with the index of the class at each"
    " pixel"
)


@dataclass(frozen=True, slots=True)
class MaskFile:
    """An UnreadMask: a file.

    Attributes:
        path: Of the PNG file.
        classes: How many there are, 1..255; None where nothing tells: any index is one then.
        ignore: Numbers of pixels that count for nothing, beside IGNORED (255), which always does
            where it is no class.
        values: What the file has for each class, by index; () where it has the index itself.
    """

    path: str
    classes: int | None = None
    ignore: tuple[int, ...] = ()
    values: tuple[int, ...] = ()

    def read(self, size: tuple[int, int], name: str) -> NDArray[np.uint8]:
        """Return the class of each pixel, [H, W], IGNORED where there is none.

        Args:
            size: (height, width) of the picture, as it is stored.
            name: Of the picture, for messages.

        Raises:
            UnreadableImage: If the file cannot be read, is cut off or corrupt.
            DataError: Naming file and value: if it is no PNG, holds colours, is of another size, or
                holds an index of no class.
        """
        indices = index_image(self.path)
        if indices.shape != size:
            height, width = indices.shape
            raise DataError(
                f"{self.path}: the mask is {width}x{height} pixels, its picture {name} is"
                f" {size[1]}x{size[0]}: classes would lie elsewhere; give the mask of the picture's"
                " own size"
            )
        if self.values:
            return self._of_values(indices)
        classes = indices.astype(np.uint8)
        if self.ignore:
            classes[np.isin(classes, self.ignore)] = IGNORED
        self._refuse_unknown(classes)
        return classes

    def _of_values(self, numbers: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the class that each number stands for."""
        known = [*self.values, *self.ignore, IGNORED]
        counts = np.bincount(numbers.ravel(), minlength=IGNORED + 1)  # [256]
        unknown = [int(number) for number in np.flatnonzero(counts) if number not in known]
        if unknown:
            told = ", ".join(f"{n} ({counted(int(counts[n]), 'pixel')})" for n in unknown[:4])
            more = f" and {len(unknown) - 4} others" if len(unknown) > 4 else ""
            raise DataError(
                f"{self.path}: the mask holds {told}{more}, and the values of its classes are"
                f" {', '.join(map(str, self.values))}: correct it, or name what is to count for"
                ' nothing in "ignore" of the masks.json'
            )
        class_of = np.full(IGNORED + 1, IGNORED, np.uint8)
        class_of[list(self.values)] = range(len(self.values))
        return class_of[numbers]

    def _refuse_unknown(self, classes: NDArray[np.uint8]) -> None:
        if self.classes is None:
            return
        counts = np.bincount(classes.ravel(), minlength=IGNORED + 1)  # [256]
        unknown = np.flatnonzero(counts[:IGNORED])
        unknown = unknown[unknown >= self.classes]
        if len(unknown):
            told = ", ".join(f"{n} ({counted(int(counts[n]), 'pixel')})" for n in unknown[:4])
            more = f" and {len(unknown) - 4} others" if len(unknown) > 4 else ""
            raise DataError(
                f"{self.path}: the mask holds {told}{more}, but there are"
                f" {self.classes} classes, 0 to {self.classes - 1}: correct it, or name what is to"
                ' count for nothing in "ignore" of a masks.json'
            )


def index_image(path: str) -> NDArray[np.uint8]:
    """Return the number at each pixel of a PNG file, [H, W].

    Raises:
        UnreadableImage: If the file cannot be read, is cut off or corrupt.
        DataError: Naming the file: if it is no PNG, if it holds colours without a palette or an
            opacity, or a number above 255.
    """
    source = FileSource(path)
    image = stored_image(source)
    with source.open() as file:
        head = file.read(_DEPTH + 1)
    if not head.startswith(_SIGNATURE):
        raise DataError(
            f"{path}: the mask is {image.format}, not PNG, which keeps indices; {_WAYS}"
        )
    if image.mode not in ("P", "L", "1") and not image.mode.startswith("I"):
        raise DataError(
            f"{path}: the mask is of mode {image.mode}: colours, of which it is not known which is"
            f" which class; {_WAYS}"
        )
    numbers = np.asarray(image)
    if image.mode == "L" and head[_DEPTH] < 8:
        # Pillow stretches fewer bits to 0..255: 1 of 4 bits would be 17.
        numbers = numbers // (255 // (2 ** head[_DEPTH] - 1))
    if numbers.size and int(numbers.max()) > IGNORED:
        raise DataError(f"{path}: the mask holds {int(numbers.max())}, above {IGNORED}; {_WAYS}")
    return numbers.astype(np.uint8)
