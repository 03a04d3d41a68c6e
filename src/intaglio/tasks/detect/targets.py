"""What Python users give to evaluate a detector on: images, and the boxes in each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from intaglio.data.batches import image_batches, paired_batches
from intaglio.data.given_truths import FORM, given_truth
from intaglio.data.truth import Truth
from intaglio.errors import DataError


def box_batches(data: Any, sample_shape: tuple[int, ...]) -> Iterator[tuple[Tensor, list[Truth]]]:
    """Yield (images [N, C, H, W], their boxes) a batch.

    Args:
        data: (images, boxes), of which boxes is a list with one entry an image, or an iterable of
            such pairs.

    Raises:
        DataError: If boxes are missing, or are none.
    """
    for number, item in enumerate(paired_batches(data, "boxes", FORM)):
        if not isinstance(item, tuple | list) or len(item) < 2:
            raise DataError(f"batch {number} of evaluate has no boxes: {FORM}")
        images = next(image_batches([item[0]], sample_shape))
        if not isinstance(item[1], Sequence) or len(item[1]) != len(images):
            raise DataError(
                f"batch {number} of evaluate has {len(images)} images and other labels than boxes:"
                f" {FORM}"
            )
        size = sample_shape[-2], sample_shape[-1]
        yield images, [truth_of(entry, size, f"batch {number}") for entry in item[1]]


def truth_of(entry: object, size: tuple[int, int], where: str) -> Truth:
    """Return the boxes of one image as a truth whose picture is the network's input.

    Args:
        entry: A truth, or a dict with `boxes`, `labels` and, maybe, `iscrowd` and `area`.
        size: (height, width) of the input.
        where: For the message.

    Raises:
        DataError: If it is neither, or its parts do not go together.
    """
    return given_truth(entry, size, f"{where} of evaluate")
