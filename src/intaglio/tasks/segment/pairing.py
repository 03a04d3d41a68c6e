"""What of a picture is held against what: its true classes, and those found, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from intaglio.data.mask import Mask
from intaglio.data.seen_mask import seen_mask
from intaglio.errors import DataError
from intaglio.maps.class_map import class_map
from intaglio.maps.postprocess import MapPostProcess
from intaglio.maps.sampling import Affine

Size = tuple[int, int]
Classes = NDArray[np.uint8]
ScoredAt = Literal["picture", "input"]
NEAR = 1.5
"""Pixels by which a picture in the middle of an input may seem to be beside it: two roundings."""


@dataclass(frozen=True)
class Pairing:
    """How truth and map come together.

    Attributes:
        scored_at: Which pixels count: the picture's own, of as many as it is stored with; or the
            network's input's, at which masks are taken by nearest.
        input_size: (height, width) of the network's input; None: `input_size_of` each picture.
    """

    scored_at: ScoredAt = "picture"
    input_size: Size | None = None


@dataclass(frozen=True, eq=False)
class Pair:
    """One picture.

    Attributes:
        truth: [H, W], the network's classes; IGNORED: none.
        found: [H, W], the network's classes, at the same pixels.
        seen: [h, w], found at the pixels of the network's input; IGNORED outside of the picture.
    """

    truth: Classes
    found: Classes
    seen: Classes


def paired(pairing: Pairing, post: MapPostProcess, scores: NDArray[np.generic], mask: Mask) -> Pair:
    """Return the true classes of a picture beside those that scores say.

    Args:
        pairing: Which pixels count.
        post: What the scores mean.
        scores: Of the picture, [C, h, w], or [h, w] of classes.
        mask: Of the picture, placed in the network's input, with the network's classes.

    Raises:
        DataError: If the mask has no placement, or one that is not of this input.
    """
    size = pairing.input_size or input_size_of(mask, (scores.shape[-2], scores.shape[-1]))
    if pairing.scored_at == "input":
        found = class_map(post, scores, affine=Affine(size), size=size)
        return Pair(seen_mask(mask, size), found, found)
    found = class_map(post, scores, affine=affine_of(mask, size), size=mask.size)
    return Pair(mask.classes, found, seen_mask(replace(mask, classes=found), size))


def affine_of(mask: Mask, input_size: Size) -> Affine:
    """Return where the picture of a mask lies in an input of this (height, width).

    Raises:
        DataError: If the mask has no placement.
    """
    place = mask.placement
    if place is None:
        raise DataError(
            "the mask of a picture says not where the picture lies in the network's input: give it"
            " a placement, Placement() where the input is the picture itself"
        )
    return Affine(input_size, place.scale_x, place.scale_y, place.left, place.top)


def seen_classes(pairing: Pairing, masks: Sequence[Mask], size: Size) -> Classes:
    """Return the true classes at the network's input, [N, h, w]; IGNORED: none.

    Args:
        pairing: As of `paired`.
        masks: Of each picture, placed.
        size: (height, width) of the map that the network gives.

    Raises:
        DataError: As `paired`.
    """
    return np.stack([seen_mask(m, pairing.input_size or input_size_of(m, size)) for m in masks])


def input_size_of(mask: Mask, size: Size) -> Size:
    """Return (height, width) of the input that a picture is placed in, where nobody says it.

    Preparation puts a picture in the middle of the input, so that its placement tells the size, to
    two roundings: if it is that of the output's map, it is that. A map of another size is of an
    input that the picture was stretched onto, all of it.

    Args:
        mask: Of the picture, placed.
        size: (height, width) of the output's map.

    Raises:
        DataError: If the mask has no placement, or it lies beside bars in an input of another size.
    """
    place = affine_of(mask, size)
    height, width = place.scale_y * mask.size[0], place.scale_x * mask.size[1]
    whole = height + 2 * place.top, width + 2 * place.left
    if all(abs(one - other) <= NEAR for one, other in zip(whole, size, strict=True)):
        return size
    if place.top == place.left == 0.0:
        return max(round(height), 1), max(round(width), 1)
    raise DataError(
        f"the output is a map of {size[1]}x{size[0]} places, and pictures lie in an input of"
        f" about {whole[1]:.0f}x{whole[0]:.0f} pixels: give the task the size of the input"
        " (Segment(input_size=(height, width)))"
    )
