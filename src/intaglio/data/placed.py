"""Where a picture lies in what the network sees of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from intaglio.data.fit import corner, inner_sides
from intaglio.data.preprocess import Preprocess, crop_corner, resized_sides
from intaglio.data.truth import Placement, Truth
from intaglio.errors import DataError


def placement(
    preprocess: Preprocess, size: tuple[int, int], input_shape: Sequence[int]
) -> Placement:
    """Return the placement of a picture, by the very sizes to which it is resized.

    Args:
        preprocess: What is done to it.
        size: (height, width) of the picture.
        input_shape: The network's input (any, C, H, W).
    """
    sides, wanted = (size[1], size[0]), (input_shape[3], input_shape[2])
    if preprocess.fit is not None:
        inner = inner_sides(sides, preprocess.fit, wanted)
        left, top = corner(inner, wanted)
    else:
        inner = resized_sides(preprocess, sides)
        cut = crop_corner(preprocess, inner)
        left, top = -cut[0], -cut[1]
    return Placement(inner[0] / sides[0], inner[1] / sides[1], float(left), float(top))


def placed(
    truth: Truth, size: tuple[int, int], place: tuple[Preprocess, Sequence[int]], *, name: str
) -> Truth:
    """Return the truth of a picture that was opened, with its size and its placement.

    Args:
        size: (height, width) of the picture.
        place: The preprocessing and the network's input shape.
        name: Of the picture, for the message.

    Raises:
        DataError: If the labels are for a picture of another size.
    """
    if truth.size is not None and truth.size != size:
        raise DataError(
            f"{name}: the picture is {size[1]}x{size[0]} pixels, its labels are for"
            f" {truth.size[1]}x{truth.size[0]}: boxes would lie elsewhere; give the picture that"
            " was labelled"
        )
    return replace(truth, size=size, placement=placement(place[0], size, place[1]))
