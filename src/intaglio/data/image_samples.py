"""The images of a data set on disk, decoded when training takes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from intaglio.data.dataset import Dataset, Label
from intaglio.data.decode import UnreadableImage, batch_labels, decode_as_array
from intaglio.data.guard import refuse_if_forbidden
from intaglio.data.parquet import in_any_order
from intaglio.data.preprocess import Preprocess, check_input_shape
from intaglio.data.samples import Taken
from intaglio.data.truth import Category
from intaglio.errors import DataError


class ImageSamples:
    """The samples of a folder, a manifest, a parquet file or tar shards.

    Labels are the class indices, or the boxes or the mask of each image. Memory: the image files
    of a parquet file, as they are compressed (`parquet.in_any_order`); nothing of the others.
    """

    def __init__(
        self,
        dataset: Dataset,
        preprocess: Preprocess,
        input_shape: Sequence[int],
        *,
        skip_bad: bool = False,
    ) -> None:
        """Keep what is to be decoded; the image files of a parquet file are read now.

        Args:
            dataset: The images.
            preprocess: What is done to each.
            input_shape: The network's input (any, C, H, W), C of 1 or 3.
            skip_bad: Whether to go on past unreadable images; `skipped` says which. An image of the
                wrong size is never passed over: it is the request that does not fit.

        Raises:
            DataError: If the network does not take images, if a parquet file is corrupt or too
                large to be held.
        """
        refuse_if_forbidden(f"images of {dataset.name}")
        self._shape = check_input_shape(input_shape)
        self._input_shape, self._preprocess = tuple(input_shape), preprocess
        self._dataset = in_any_order(dataset)
        self._skip_bad = skip_bad
        self._skipped: dict[int, str] = {}

    @property
    def name(self) -> str:
        """The last part of the data set's path."""
        return self._dataset.name

    @property
    def categories(self) -> tuple[Category, ...]:
        """Of boxes or masks, by class; () where labels are neither, or masks without names."""
        return self._dataset.categories

    def __len__(self) -> int:
        return len(self._dataset)

    @property
    def skipped(self) -> tuple[str, ...]:
        """What was passed over so far, each image once: the message it would have ended with."""
        return tuple(dict(self._skipped).values())

    def take(self, indices: Sequence[int]) -> Taken:
        """Return images by index, in this order.

        Raises:
            DataError: If one cannot be read (without `skip_bad`), if none of all images can, or if
                one has not the size for the preprocessing.
        """
        refuse_if_forbidden(f"images of {self.name}")
        images = np.empty((len(indices), *self._shape), np.float32)  # [N, C, H, W]
        taken: list[int] = []
        labels: list[Label] = []
        for index in map(int, indices):
            item = self._dataset.items[index]
            try:
                images[len(taken)], label = decode_as_array(
                    item, self._preprocess, self._input_shape
                )
            except UnreadableImage as error:
                self._pass_over(index, error)
                continue
            taken.append(index)
            labels.append(label)
        return Taken(
            torch.from_numpy(images[: len(taken)]),
            batch_labels(labels) if self._dataset.labelled else None,
            tuple(taken),
        )

    def _pass_over(self, index: int, error: UnreadableImage) -> None:
        if not self._skip_bad:
            raise error
        self._skipped.setdefault(index, str(error))
        if len(self._skipped) == len(self._dataset):
            raise DataError(
                f"{self._dataset.path}: none of its {len(self._dataset)} images can be read;"
                f" the first: {next(iter(self._skipped.values()))}"
            )
