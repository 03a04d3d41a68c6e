"""The samples of a user's own data set: anything with a length, and an item for each index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from intaglio.data.batches import image_batches
from intaglio.data.given_masks import given_mask
from intaglio.data.given_truths import given_truth, is_given_truth
from intaglio.data.mask import Mask
from intaglio.data.samples import Taken
from intaglio.data.tensor_samples import as_label
from intaglio.errors import DataError, IntaglioError, cause


class MapDataset(Protocol):
    """What PyTorch calls a map-style data set."""

    def __len__(self) -> int:
        """Return how many images there are."""

    def __getitem__(self, index: int, /) -> Any:
        """Return an image [C, H, W] float32, or a tuple of it and its label."""


class MapSamples:
    """The samples of such a data set; each item is asked for when its turn comes."""

    def __init__(self, dataset: MapDataset, sample_shape: tuple[int, ...]) -> None:
        """Look at the first item.

        Args:
            dataset: Its items are an image, or (image, label) with the label a number, a tensor or
                a tuple of these, of the same shape for all; or the boxes in the image
                (`given_truths.py`), or its mask (`given_masks.py`), of any size.
            sample_shape: What the network takes of one image.

        Raises:
            DataError: If there is no item, or the first is none of these.
            NonFiniteError: If its image holds NaN or infinity.
        """
        self.name = type(dataset).__name__
        self.skipped: tuple[str, ...] = ()
        self._dataset, self._shape = dataset, sample_shape
        self._count = len(dataset)
        if not self._count:
            raise DataError("there are no images to train on: data has a length of 0")
        self.take([0])

    def __len__(self) -> int:
        return self._count

    def take(self, indices: Sequence[int]) -> Taken:
        """Return images by index, in this order; nothing is passed over.

        Raises:
            DataError: If the data set raises an error for one of them, one is not an image of the
                network's shape, or labels do not fit together.
            NonFiniteError: If an image holds NaN or infinity.
        """
        items = [self._item(int(index)) for index in indices]
        images = torch.stack([image for image, _ in items]) if items else self._no_images()
        labels = [label for _, label in items]
        pairs = zip(labels, indices, strict=True)
        size = (self._shape[-2], self._shape[-1]) if len(self._shape) > 1 else (1, 1)
        if _are_masks(labels):
            masks = [given_mask(one, size, f"item {index} of data") for one, index in pairs]
            return Taken(images, masks, tuple(indices))
        if any(map(is_given_truth, labels)):
            truths = [given_truth(one, size, f"item {index} of data") for one, index in pairs]
            return Taken(images, truths, tuple(indices))
        return Taken(images, _together(labels, indices), tuple(indices))

    def _item(self, index: int) -> tuple[Tensor, Any]:
        try:
            item = self._dataset[index]
        except IntaglioError:
            raise
        # A user's own code raises whatever it stumbles over.
        except Exception as error:
            raise DataError(f"item {index} of data cannot be read: {cause(error)}") from error
        pair = item if isinstance(item, tuple | list) and item else (item,)
        image = pair[0]
        if len(pair) > 2:
            raise DataError(
                f"item {index} of data has {len(pair)} parts: give an image, or (image, label);"
                f" several labels are one tuple"
            )
        if not isinstance(image, Tensor) or tuple(image.shape) != self._shape:
            found = list(image.shape) if isinstance(image, Tensor) else type(image).__name__
            raise DataError(
                f"item {index} of data is {found}, the network takes a float32 tensor"
                f" {list(self._shape)}"
            )
        if image.dtype != torch.float32:
            raise DataError(f"item {index} of data is {image.dtype}: give float32")
        return next(image_batches(image[None], self._shape))[0], pair[1] if len(pair) > 1 else None

    def _no_images(self) -> Tensor:
        return torch.empty(0, *self._shape)


def _are_masks(labels: list[Any]) -> bool:
    """Whether labels are masks that are no one tensor: Masks, or of several sizes."""
    if any(isinstance(label, Mask) for label in labels):
        return True
    shapes = {label.shape if isinstance(label, Tensor | np.ndarray) else () for label in labels}
    return len(shapes) > 1 and all(len(shape) == 2 for shape in shapes)


def _together(labels: list[Any], indices: Sequence[int]) -> Any:
    """Return the labels of a batch in one tensor [N, ...], or a tuple of these; None: no labels."""
    if all(label is None for label in labels):
        return None
    if any(isinstance(label, tuple) for label in labels):
        counts = {len(label) if isinstance(label, tuple) else 0 for label in labels}
        if len(counts) > 1:
            raise DataError(f"the labels of items {list(indices)[:8]} of data have different parts")
        return tuple(_together(list(parts), indices) for parts in zip(*labels, strict=True))
    for label, index in zip(labels, indices, strict=True):
        if label is None:
            raise DataError(f"item {index} of data has no label, others of the same batch have one")
    tensors = [as_label(label) for label in labels]
    for tensor, index in zip(tensors, indices, strict=True):
        if tensor.shape != tensors[0].shape or tensor.dtype != tensors[0].dtype:
            raise DataError(
                f"the label of item {index} of data is {tensor.dtype} {list(tensor.shape)}, that of"
                f" item {indices[0]} {tensors[0].dtype} {list(tensors[0].shape)}: all labels of a"
                f" data set are of one shape and kind"
            )
    return torch.stack(tensors)
