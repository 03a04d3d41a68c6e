"""Images and labels that are tensors in memory, for training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from intaglio.data.batches import image_batches
from intaglio.data.given_masks import are_given_masks, given_masks
from intaglio.data.given_truths import given_truth, is_given_truth
from intaglio.data.samples import Taken
from intaglio.errors import DataError

CHECKED_AT_ONCE = 1024
"""Images looked at together: the whole of a large tensor would be doubled."""


class TensorSamples:
    """The samples of tensors; the tensors are not copied."""

    def __init__(self, images: Tensor, labels: Any, sample_shape: tuple[int, ...]) -> None:
        """Check the tensors.

        Args:
            images: [N, *sample_shape] float32.
            labels: One tensor [N, ...], or a tuple or list of several, in the task's form; a list
                of the boxes of each image (`given_truths.py`), or of the mask of each
                (`given_masks.py`); None where there are none. Whole numbers are given as int64,
                others as float32.
            sample_shape: What the network takes of one image.

        Raises:
            DataError: If images are not that, if there are none, if labels are no tensors or not
                as many as images.
            NonFiniteError: If an image holds NaN or infinity.
        """
        pieces = torch.split(images, CHECKED_AT_ONCE) if images.ndim else (images,)
        for _ in image_batches(pieces, sample_shape):
            pass
        self.name = "the tensors of data"
        self.skipped: tuple[str, ...] = ()
        self._images = images.detach()
        self._labels = _checked(labels, len(images), sample_shape)
        if not len(images):
            raise DataError("there are no images to train on: data is a tensor of none")

    def __len__(self) -> int:
        return len(self._images)

    def take(self, indices: Sequence[int]) -> Taken:
        """Return images by index, in this order."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        return Taken(self._images[index].cpu(), _at(self._labels, index), tuple(indices))


def as_label(label: object) -> Tensor:
    """Return a label as a tensor: int64 for whole numbers and truth values, else float32.

    Raises:
        DataError: If it is no number and no tensor.
    """
    try:
        tensor = torch.as_tensor(label).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"labels are {type(label).__name__}, no numbers: {error}") from error
    return tensor.float() if tensor.is_floating_point() else tensor.long()


def _checked(labels: Any, count: int, sample_shape: tuple[int, ...]) -> Any:
    if labels is None:
        return None
    size = (sample_shape[-2], sample_shape[-1]) if len(sample_shape) > 1 else (1, 1)
    if isinstance(labels, list) and any(map(is_given_truth, labels)):
        if len(labels) != count:
            raise DataError(f"data has {count} images, but the boxes of {len(labels)}")
        return [given_truth(one, size, f"label {n} of data") for n, one in enumerate(labels)]
    if are_given_masks(labels, count, size):
        return given_masks(labels, count, size, "the labels of data")
    if isinstance(labels, tuple) or (
        isinstance(labels, list) and any(isinstance(part, Tensor) for part in labels)
    ):
        return tuple(_checked(part, count, sample_shape) for part in labels)
    tensor = as_label(labels)
    if not tensor.ndim or len(tensor) != count:
        found = len(tensor) if tensor.ndim else "a single number for"
        raise DataError(f"data has {count} images but {found} labels")
    return tensor


def _at(labels: Any, index: Tensor) -> Any:
    if isinstance(labels, tuple):
        return tuple(_at(part, index) for part in labels)
    if isinstance(labels, list):
        return [labels[one] for one in index.tolist()]
    return None if labels is None else labels[index]
