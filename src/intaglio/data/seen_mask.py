"""The classes of a picture's pixels at the pixels of what the network sees."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from intaglio.data.mask import IGNORED, Mask
from intaglio.errors import DataError

_NOT_WHOLE = 1e-6
"""Pixels by which a side that the placement states may miss a whole number of them."""


def are_masks(labels: Any) -> TypeGuard[list[Mask]]:
    """Whether the labels of a batch are the mask of each image."""
    return isinstance(labels, list) and all(isinstance(entry, Mask) for entry in labels)


def seen_mask(mask: Mask, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the classes at the network's input, [h, w]; IGNORED outside of the picture.

    An input pixel has the class of the picture's pixel in which its centre lies:
    picture = (pixel + 1/2 - offset) / scale, rounded down. These are the pixels that Pillow's
    `NEAREST` takes when the picture is resized.

    Args:
        mask: Of the picture, placed.
        size: (height, width) of the input.

    Raises:
        DataError: If the mask has no placement.
    """
    place = mask.placement
    if place is None:
        raise DataError(
            "the mask of a picture says not where the picture lies in the network's input: give it"
            " a placement, Placement() where the input is the picture itself"
        )
    rows = sources(mask.size[0], place.scale_y, place.top, size[0])
    columns = sources(mask.size[1], place.scale_x, place.left, size[1])
    seen = np.asarray(mask.classes[np.ix_(rows.clip(0), columns.clip(0))])
    seen[rows < 0] = IGNORED
    seen[:, columns < 0] = IGNORED
    return seen


def sources(own: int, scale: float, offset: float, wanted: int) -> NDArray[np.int64]:
    """Return from which pixel of a picture's side each pixel of the input's comes, [wanted].

    Args:
        own: Pixels of the picture's side, >= 1.
        scale, offset: As a Placement has them.
        wanted: Pixels of the input's side.

    Returns:
        0 to own - 1; -1 where an input pixel's centre lies outside of the picture.
    """
    inner, first = round(own * scale), round(offset)
    if inner < 1 or abs(own * scale - inner) > _NOT_WHOLE or abs(offset - first) > _NOT_WHOLE:
        exact = np.floor((np.arange(wanted) + 0.5 - offset) / scale)
        return np.where((exact >= 0) & (exact < own), exact, -1).astype(np.int64)
    # Pillow adds up steps of own / inner in float64, from half a step on; where a centre lies
    # between two of the picture's pixels the last bit of that sum decides.
    steps = np.full(inner, own / inner)
    steps[0] *= 0.5
    within = np.cumsum(steps).astype(np.int64).clip(0, own - 1)  # [inner]
    places = np.arange(wanted) - first
    inside = (places >= 0) & (places < inner)
    return np.where(inside, within[places.clip(0, inner - 1)], -1)
