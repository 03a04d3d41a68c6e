"""What Python users give to evaluate a segmenter on: images, and the class of each pixel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor

from intaglio.data.batches import INTEGERS, image_batches, paired_batches
from intaglio.data.given_masks import given_masks, map_shape
from intaglio.data.mask import Mask
from intaglio.errors import DataError

FORM = (
    "give for each image its mask: a tensor [N, h, w] of class indices (255: counts for nothing),"
    " or a list of Masks"
)


def mask_batches(data: Any, sample_shape: tuple[int, ...]) -> Iterator[tuple[Tensor, list[Mask]]]:
    """Yield (images [N, C, H, W], the mask of each) a batch.

    Args:
        data: (images, masks), or an iterable of such pairs; masks as `given_masks` takes them.
        sample_shape: Of an image, [C, H, W].

    Raises:
        DataError: If masks are missing, or are none.
    """
    size = sample_shape[-2], sample_shape[-1]
    for number, item in enumerate(paired_batches(data, "masks", FORM)):
        where = f"batch {number} of evaluate"
        if not isinstance(item, tuple | list) or len(item) < 2 or item[1] is None:
            raise DataError(f"{where} has no masks: {FORM}")
        images = next(image_batches([item[0]], sample_shape))
        yield images, given_masks(item[1], len(images), size, where)


def are_labels(labels: object) -> bool:
    """Whether labels of a batch are masks: a list of them, or whole numbers [N, h, w]."""
    if isinstance(labels, Tensor):
        return labels.ndim == 3 and labels.dtype in INTEGERS
    if isinstance(labels, np.ndarray):
        return labels.ndim == 3 and labels.dtype.kind in "ui"
    if not isinstance(labels, list):
        return False
    return all(isinstance(one, Mask) or map_shape(one) is not None for one in labels)


def masks_of(labels: object, count: int, size: tuple[int, int]) -> list[Mask]:
    """Return the mask of each image of a batch.

    Args:
        labels: A list of masks, or whole numbers [N, h, w], stretched over the input.
        count: Images of the batch.
        size: (height, width) of the network's input.

    Raises:
        DataError: If labels are no masks, or of another number of images; names the first image
            that has none.
    """
    if not are_labels(labels):
        raise DataError(f"the labels of a batch are {_told(labels)}: {FORM}")
    if len(labels) != count:  # type: ignore[arg-type]
        given = len(labels)  # type: ignore[arg-type]
        missing = f", image {given} of the batch (from 0) has none" if given < count else ""
        raise DataError(f"a batch has {count} images and {given} masks{missing}: {FORM}")
    return given_masks(labels, count, size, "a batch of labels")


def _told(labels: object) -> str:
    if isinstance(labels, Tensor):
        return f"a tensor {list(labels.shape)} of {labels.dtype}"
    if isinstance(labels, list) and labels:
        for place, entry in enumerate(labels):
            if not isinstance(entry, Mask):
                return f"a list in which image {place} (from 0) has {type(entry).__name__}, no mask"
    return "nothing" if labels is None else type(labels).__name__
