"""A whole picture into what a network sees: stretched, or with its proportions and grey beside it.

Detectors and segmenters look at all of a picture; a crop would cut objects off.
"""

from __future__ import annotations

from PIL import Image

FITS = ("stretch", "letterbox")
"""Each side to its length by itself; or both by one factor, the picture in the middle."""
GREY = 114
"""Of the bars of a letterbox, in every channel: what YOLO detectors are trained with."""

Sides = tuple[int, int]
"""(width, height) in pixels, as Pillow has them."""


def fit(image: Image.Image, kind: str, wanted: Sides) -> Image.Image:
    """Return the picture on `wanted` pixels, by Pillow's bilinear filter.

    Args:
        image: With 8 bits in each of its channels.
        kind: One of FITS.
        wanted: (width, height).
    """
    inner = inner_sides(image.size, kind, wanted)
    resized = image.resize(inner, Image.Resampling.BILINEAR)
    if inner == wanted:
        return resized
    whole = Image.new(image.mode, wanted, (GREY,) * len(image.getbands()))
    whole.paste(resized, corner(inner, wanted))
    return whole


def inner_sides(sides: Sides, kind: str, wanted: Sides) -> Sides:
    """Return (width, height) that the picture itself takes of `wanted`."""
    if kind == "stretch":
        return wanted
    factor = min(wanted[0] / sides[0], wanted[1] / sides[1])
    width, height = (
        min(most, max(1, round(side * factor))) for side, most in zip(sides, wanted, strict=True)
    )
    return width, height


def corner(inner: Sides, wanted: Sides) -> Sides:
    """Return (left, top) of what is put in the middle; an odd rest is behind it."""
    return (wanted[0] - inner[0]) // 2, (wanted[1] - inner[1]) // 2
