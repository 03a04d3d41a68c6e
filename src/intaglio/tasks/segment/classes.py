"""Which class of a segmenter each class of a mask is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from intaglio.data.mask import IGNORED, Mask
from intaglio.data.mask_classes import class_table
from intaglio.data.truth import Category
from intaglio.errors import DataError
from intaglio.maps.postprocess import MapPostProcess

Classes = NDArray[np.uint8]


def label_table(post: MapPostProcess, categories: Sequence[Category]) -> Classes:
    """Return the network's class for each category of a data set, [categories]; IGNORED: none.

    By name (`class_table`) where the network's classes have names; in order where they have none
    and there are as many. Without categories labels are the network's classes already.

    Raises:
        DataError: If none of these can be; names both counts.
    """
    if not categories:
        return np.arange(post.classes, dtype=np.uint8)
    if post.names:
        return class_table(categories, post.names)
    if len(categories) == post.classes:
        return np.arange(post.classes, dtype=np.uint8)
    raise DataError(
        f"the network tells {post.classes} classes apart, which have no names, and the masks have"
        f" {len(categories)} categories: which is which cannot be told; give masks of the network's"
        " classes, or the network's postprocess the names of its classes"
    )


def own_masks(
    masks: Sequence[Mask], post: MapPostProcess, categories: Sequence[Category]
) -> list[Mask]:
    """Return masks with the network's class of each pixel; IGNORED stays so.

    Args:
        masks: Of pictures of one data set.
        post: Of the network.
        categories: Of the data set; (): classes are the network's.

    Raises:
        DataError: If a pixel is of no class there is; as `label_table`.
    """
    table = label_table(post, categories)
    for mask in masks:
        refuse_beyond(mask.classes, len(table))
    if not categories:
        return list(masks)
    own = np.full(IGNORED + 1, IGNORED, np.uint8)
    own[: len(table)] = table
    return [replace(mask, classes=own[mask.classes]) for mask in masks]


def refuse_beyond(classes: Classes, count: int) -> None:
    """Make sure that each pixel is of one of `count` classes, or IGNORED.

    Raises:
        DataError: Naming the highest class, how many pixels are beyond, and how many classes.
    """
    beyond = (classes >= count) & (classes != IGNORED)
    if beyond.any():
        raise DataError(
            f"class {int(classes[beyond].max())} of a mask is out of range: there are {count}"
            f" (0..{count - 1}); {int(beyond.sum())} of its {classes.size} pixels are beyond; give"
            f" pixels that count for nothing the class {IGNORED}"
        )


def class_names(post: MapPostProcess, categories: Sequence[Category]) -> tuple[str, ...]:
    """Return the names of the network's classes; of such without names the data set's; or ()."""
    if post.names or len(categories) != post.classes:
        return post.names
    return tuple(category.name for category in categories)
