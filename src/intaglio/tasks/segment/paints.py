"""Colours that say of each pixel of a picture what its class is.

Source: Okabe and Ito 2008, eight colours that people of every colour vision tell apart. We leave
black out, which a photograph has too. Where there are more classes the colours come again with
stripes and checks.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from intaglio.tasks.segment.seen_part import NUMBERS

Texture = Literal["plain", "rising", "falling", "checks"]
TEXTURES: tuple[Texture, ...] = get_args(Texture)
Rgb = tuple[int, int, int]

COLOURS: tuple[Rgb, ...] = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (204, 121, 167),  # reddish purple
    (240, 228, 66),  # yellow
    (0, 114, 178),  # blue
    (213, 94, 0),  # vermillion
)
PERIOD = 8
"""Pixels from stripe to stripe."""
STRONG, WEAK, EDGE = 150, 45, 235
"""How much of the picture a colour hides, of 255: its stripes, what is between them, and where a
class ends, so that what is one pixel thin is seen as well."""
SWATCH = (18, 32)
"""Rows and columns of a piece in a legend."""


@dataclass(frozen=True)
class Paint:
    """How the pixels of a class are painted.

    Attributes:
        colour: Red, green, blue, 0..255 each.
        texture: Where the colour is strong.
        strong, edge: How much it hides of the picture there, and where the class ends, 0..255.
    """

    colour: Rgb
    texture: Texture = "plain"
    strong: int = STRONG
    edge: int = EDGE


CLEAR = Paint((255, 255, 255), strong=0, edge=0)
UNCOUNTED = Paint((90, 90, 90), "checks", edge=STRONG)
"""Of pixels that count for nothing."""
BETTER = Paint(COLOURS[1], strong=230)
WORSE = Paint(COLOURS[6], strong=230)
OTHER = Paint(COLOURS[4], "checks", strong=230)
"""Of pixels on which two networks differ."""


def paints(numbers: Sequence[int]) -> dict[int, Paint]:
    """Return a paint for each class, all different for the first 28, the plain ones first.

    Args:
        numbers: Of the classes, those first that shall be told apart best.
    """
    return {
        number: Paint(
            COLOURS[place % len(COLOURS)], TEXTURES[place // len(COLOURS) % len(TEXTURES)]
        )
        for place, number in enumerate(numbers)
    }


def painted(classes: NDArray[np.uint8], by_class: Mapping[int, Paint]) -> bytes:
    """Return a PNG file that lies over a picture: of each pixel the paint of its class.

    Args:
        classes: [H, W].
        by_class: Of each class in it; one that has none is left clear.
    """
    rows = np.zeros((NUMBERS, 7), np.uint8)  # of each class, what is said at `table`
    for number, paint in by_class.items():
        weak = min(WEAK, paint.strong)
        rows[number] = *paint.colour, weak, paint.strong, paint.edge, TEXTURES.index(paint.texture)
    table = rows[classes]  # [H, W, red green blue weak strong edge texture]
    strong = np.stack([_is_strong(classes.shape, texture) for texture in TEXTURES])
    place = np.take_along_axis(strong, table[None, :, :, 6].astype(np.intp), 0)[0]
    hidden = np.where(place, table[:, :, 4], table[:, :, 3])
    hidden = np.where(_edges(classes), table[:, :, 5], hidden)
    return png_of(np.dstack([table[:, :, :3], hidden]))


def piece(paint: Paint) -> bytes:
    """Return a piece of a paint as a PNG file, for a legend."""
    return painted(np.zeros(SWATCH, np.uint8), {0: paint})


def png_of(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels [H, W, 4] as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=False)
    return file.getvalue()


def _edges(classes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where a pixel's class is not that of the one above, below, left or right, [H, W]."""
    edges = np.zeros(classes.shape, np.bool_)
    for one, other, changed in (
        (edges[1:], edges[:-1], classes[1:] != classes[:-1]),
        (edges[:, 1:], edges[:, :-1], classes[:, 1:] != classes[:, :-1]),
    ):
        one |= changed
        other |= changed
    return edges


def _is_strong(size: tuple[int, ...], texture: Texture) -> NDArray[np.bool_]:
    """Return where a texture is strong, [H, W] of this size."""
    rows, columns = np.indices(size)
    strong: NDArray[np.bool_] = np.ones(size, np.bool_)
    if texture == "checks":
        strong = (rows * 2 // PERIOD + columns * 2 // PERIOD) % 2 == 0
    elif texture != "plain":
        along = columns + rows if texture == "rising" else columns - rows
        strong = along % PERIOD < PERIOD // 2
    return strong
