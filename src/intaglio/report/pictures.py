"""Pictures with boxes, or colours, on them: what the page shows of maps and detectors, as data.

A picture is in the page once, as JPEG; boxes are drawn by the browser, so that they are sharp at
any size and their words are text; colours lie over it as PNG. Names of things come from the user:
whoever shows them escapes them.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, replace
from typing import Literal

from PIL import Image
from torch import Tensor

SIDE = 320
"""CSS pixels of the longer side of a picture, and the most pixels that it is stored with."""
QUALITY = 85
"""Of JPEG: at 320 pixels a picture takes 20 to 40 kB."""
LETTER = 11.0
"""Height of the words at a box."""
WIDE = 0.62
"""Width of a letter over its height, rather too much: fonts differ."""
MARGIN = 2.0

Kind = Literal["both", "alone", "truth", "crowd", "region"]
"""Whose box it is: both networks find it; one alone does; a label says it; a label says it of a
group, which counts for nothing; or it is no box to be seen, and has its words in its middle."""


@dataclass(frozen=True)
class Mark:
    """A box on a picture.

    Attributes:
        left, top, width, height: In the pixels of its scene.
        text: What stands at it.
        kind: Whose box it is.
    """

    left: float
    top: float
    width: float
    height: float
    text: str
    kind: Kind


@dataclass(frozen=True)
class Words:
    """Words that stand at a box.

    Attributes:
        left: Where they begin, in the pixels of the scene.
        line: The line on which their letters stand.
        text: What they say.
        kind: Whose box it is.
    """

    left: float
    line: float
    text: str
    kind: Kind

    @property
    def width(self) -> float:
        """How wide they are, rather too much."""
        return WIDE * LETTER * len(self.text)

    def meets(self, other: Words) -> bool:
        """Whether both take some of the same place."""
        is_apart = self.left > other.left + other.width or other.left > self.left + self.width
        return not is_apart and abs(self.line - other.line) < LETTER


@dataclass(frozen=True)
class View:
    """One look at a picture.

    Attributes:
        title: Whose.
        marks: Boxes, that of which one wants to read the words first.
        layer: A PNG file that lies over the picture, of the same shape; empty where none does.
    """

    title: str
    marks: tuple[Mark, ...]
    layer: bytes = b""

    @property
    def layer_address(self) -> str:
        """What lies over the picture as the address of an image, which loads nothing."""
        return png_address(self.layer)

    @property
    def drawn(self) -> list[Mark]:
        """The boxes in the order in which they are drawn: small ones last, to be pointed at."""
        return sorted(self.marks, key=lambda mark: -mark.width * mark.height)


@dataclass(frozen=True)
class Scene:
    """A picture, seen several times side by side.

    Attributes:
        jpeg: The file's content, of the same shape as the scene; its pixels may be fewer.
        width, height: In which it is shown where there is room, in CSS pixels.
        told: What it is, and what is wrong with it, a sentence.
        views: From left to right.
    """

    jpeg: bytes
    width: int
    height: int
    told: str
    views: tuple[View, ...]

    @property
    def address(self) -> str:
        """The picture as the address of an image, which loads nothing."""
        return f"data:image/jpeg;base64,{base64.b64encode(self.jpeg).decode()}"

    def words(self, view: View) -> list[Words]:
        """Return the words that stand on a view; those that there is no room for are left out."""
        placed: list[Words] = []
        for mark in view.marks:
            for words in self._places(mark):
                if not any(words.meets(other) for other in placed):
                    placed.append(words)
                    break
        return placed

    def _places(self, mark: Mark) -> list[Words]:
        """Return where the words of a box may stand: above it, in it at the top, at the bottom."""
        first = Words(0.0, 0.0, mark.text, mark.kind)
        if mark.kind == "region":
            return [self._middle(first, mark)]
        left = max(min(mark.left, self.width - MARGIN - first.width), MARGIN)
        lines = (
            mark.top - MARGIN,
            mark.top + LETTER,
            mark.top + mark.height - MARGIN,
        )
        return [
            replace(first, left=left, line=line) for line in lines if LETTER <= line <= self.height
        ]

    def _middle(self, words: Words, mark: Mark) -> Words:
        """Return words in the middle of a box, moved to where the picture has them whole."""
        left = mark.left + (mark.width - words.width) / 2.0
        left = max(min(left, self.width - MARGIN - words.width), MARGIN)
        line = mark.top + (mark.height + LETTER) / 2.0
        return replace(words, left=left, line=min(max(line, LETTER), self.height))


@dataclass(frozen=True)
class Swatch:
    """What a colour says.

    Attributes:
        png: A piece of it, as a file.
        text: What it says.
    """

    png: bytes
    text: str

    @property
    def address(self) -> str:
        """The piece as the address of an image, which loads nothing."""
        return png_address(self.png)


@dataclass(frozen=True)
class Pictures:
    """Pictures; a terminal shows nothing of them.

    Attributes:
        scenes: In the order in which they are shown.
        legend: What the colours on them say; () where there are none.
    """

    scenes: tuple[Scene, ...]
    legend: tuple[Swatch, ...] = ()


def shown_size(height: int, width: int) -> tuple[int, int]:
    """Return (height, width) of a scene whose longer side has SIDE pixels, none below 1."""
    longer = max(height, width, 1)
    return max(round(SIDE * height / longer), 1), max(round(SIDE * width / longer), 1)


def jpeg_of(pixels: Tensor) -> bytes:
    """Return pixels [3 or 1, H, W] uint8 as a JPEG file."""
    file = io.BytesIO()
    array = pixels.permute(1, 2, 0).contiguous().numpy()
    picture = Image.fromarray(array if array.shape[2] == 3 else array[:, :, 0])
    picture.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def png_address(file: bytes) -> str:
    """Return a PNG file as the address of an image, which loads nothing."""
    return f"data:image/png;base64,{base64.b64encode(file).decode()}"
