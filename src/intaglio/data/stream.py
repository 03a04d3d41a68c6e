"""Batches of preprocessed images in their order, decoded ahead of their use in bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from intaglio.data.ahead import Ahead
from intaglio.data.dataset import Dataset, Item, Label
from intaglio.data.decode import UnreadableImage, batch_labels, decode_as_array
from intaglio.data.guard import refuse_if_forbidden
from intaglio.data.mask import Mask
from intaglio.data.preprocess import Preprocess, check_input_shape
from intaglio.data.truth import Truth
from intaglio.errors import DataError, RequestError


@dataclass(frozen=True)
class Batch:
    """Images as the network wants them.

    Attributes:
        images: [N, C, H, W] float32, N from 1 to the batch size.
        labels: [N] int64, or the boxes or the mask of each image; None where the data set has no
            labels.
        names: The items' names, N of them.
    """

    images: Tensor
    labels: Tensor | list[Truth] | list[Mask] | None
    names: tuple[str, ...]


@dataclass(frozen=True)
class Skipped:
    """An image that was passed over.

    Attributes:
        name: The item's name.
        reason: The whole message that it would have ended the run with.
    """

    name: str
    reason: str


def batches(
    dataset: Dataset,
    preprocess: Preprocess,
    input_shape: Sequence[int],
    *,
    batch_size: int,
    skip_bad: bool = False,
) -> ImageStream:
    """Return an iterator over the whole data set, in its order, in batches.

    All batches are full but the last; skipped images do not leave gaps.

    Args:
        dataset: The images.
        preprocess: What is done to each.
        input_shape: The network's input (any, C, H, W), C of 1 or 3.
        batch_size: Images in a batch, >= 1.
        skip_bad: Whether to go on past unreadable images; `ImageStream.skipped` names them.
            An image of the wrong size is never skipped: it is the request that does not fit.

    Raises:
        RequestError: If `batch_size` is below 1.
        DataError: If the network does not take images; while iterating, if an image is unreadable
            (without `skip_bad`), if all are, or if one has not the size for the preprocessing.
    """
    refuse_if_forbidden(f"images of {dataset.name}")
    if batch_size < 1:
        raise RequestError(f"a batch of {batch_size} images: give 1 or more")
    check_input_shape(input_shape)
    decoder = _Decoder(
        dataset, preprocess, input_shape=input_shape, batch_size=batch_size, skip_bad=skip_bad
    )
    return ImageStream(decoder)


class ImageStream(Ahead[Batch]):
    """The iterator that `batches` returns; can be gone through once."""

    def __init__(self, decoder: _Decoder) -> None:
        # The thread knows the decoder but not this object, so that dropping this object ends it.
        super().__init__(decoder.next_batch, decoder.stop)
        self._decoder = decoder

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The images passed over so far; complete when the iteration has ended.

        Decoding runs ahead, so that images of batches not yet taken may be among them.
        """
        return tuple(self._decoder.skipped)

    def __next__(self) -> Batch:
        """Return the next batch; raise what went wrong in decoding it, or StopIteration."""
        refuse_if_forbidden(f"images of {self._decoder.dataset.name}")
        return super().__next__()


class _Decoder:
    """Makes one batch after the other; all calls come from one thread."""

    def __init__(
        self,
        dataset: Dataset,
        preprocess: Preprocess,
        *,
        input_shape: Sequence[int],
        batch_size: int,
        skip_bad: bool,
    ) -> None:
        self.dataset, self.preprocess, self.input_shape = dataset, preprocess, input_shape
        self.shape = check_input_shape(input_shape)
        self.batch_size, self.skip_bad = batch_size, skip_bad
        self.skipped: list[Skipped] = []
        self.stop = threading.Event()
        self._next_index = 0

    def next_batch(self) -> Batch | None:
        """Return the next batch, or None at the end or when told to stop."""
        room = min(self.batch_size, len(self.dataset) - self._next_index)
        images = np.empty((room, *self.shape), np.float32)  # [N, C, H, W]
        items: list[Item] = []
        labels: list[Label] = []
        while len(items) < room and self._next_index < len(self.dataset):
            if self.stop.is_set():
                return None
            item = self.dataset.items[self._next_index]
            self._next_index += 1
            try:
                images[len(items)], label = decode_as_array(item, self.preprocess, self.input_shape)
            except UnreadableImage as error:
                if not self.skip_bad:
                    raise
                self.skipped.append(Skipped(item.name, str(error)))
                continue
            items.append(item)
            labels.append(label)
        if not items:
            self._refuse_if_all_were_skipped()
            return None
        return Batch(
            torch.from_numpy(images[: len(items)]),
            batch_labels(labels),
            tuple(item.name for item in items),
        )

    def _refuse_if_all_were_skipped(self) -> None:
        if self.skipped and len(self.skipped) == len(self.dataset):
            raise DataError(
                f"{self.dataset.path}: none of its {len(self.dataset)} images can be read;"
                f" the first: {self.skipped[0].reason}"
            )
