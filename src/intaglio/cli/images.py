"""A data set of the command line as batches of what a network takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from intaglio.data.batches import BATCH_SIZE
from intaglio.data.dataset import Dataset, draw
from intaglio.data.images import Batch, batches, require_labels
from intaglio.data.preprocess import Preprocess
from intaglio.errors import DataError
from intaglio.tasks.pieces import images_at_once
from intaglio.tasks.task import Shapes, Task


@dataclass(frozen=True)
class Images:
    """Images and what is done to each.

    Attributes:
        dataset: Which.
        preprocess: What is done.
        input_shape: (1, C, H, W) of the network.
        skip_bad: Whether to go on past unreadable ones.
        skipped: Names of those passed over; complete when all batches were taken.
    """

    dataset: Dataset
    preprocess: Preprocess
    input_shape: tuple[int, ...]
    skip_bad: bool = False
    skipped: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.dataset)

    def drawn(self, most: int | None, seed: int) -> Images:
        """Return at most so many of them, drawn over the whole data set; None: all."""
        return replace(self, dataset=draw(self.dataset, most, seed), skipped=[])

    def try_first(self) -> None:
        """Prepare one image, so that what is wrong with all of them is found before long work.

        Raises:
            DataError: If it cannot be read, or has not the size for the preprocessing.
        """
        with batches(
            self.dataset, self.preprocess, self.input_shape, batch_size=1, skip_bad=self.skip_bad
        ) as stream:
            next(stream, None)

    def for_task(self, task: Task, outputs: Shapes) -> Iterator[Any]:
        """Return what a task evaluates on, a batch at a time: labels too, where it needs them.

        Labels that it does not need are left out: those of a data set are class indices.

        Args:
            outputs: Shapes of the network's outputs.

        Raises:
            DataError: If labels are missing, or one is none of the network's.
        """
        most = images_at_once(outputs)
        if not task.needs_labels:
            return self.alone(most)
        task.labels(require_labels(self.dataset), outputs)
        return self.labelled(most)

    def alone(self, most: int = BATCH_SIZE) -> Iterator[Tensor]:
        """Yield the images, [N, C, H, W] float32, at most so many a batch."""
        for batch in self._batches(most):
            yield batch.images

    def batches(self) -> Iterator[Tensor | tuple[Tensor, Any]]:
        """Yield images a batch, with their labels where the data set has labels."""
        for batch in self._batches(BATCH_SIZE):
            yield batch.images if batch.labels is None else (batch.images, batch.labels)

    def labelled(self, most: int = BATCH_SIZE) -> Iterator[tuple[Tensor, Any]]:
        """Yield (images [N, C, H, W] float32, labels), at most so many images a batch.

        Labels are indices [N] int64, or the boxes or the mask of each image.
        """
        for batch in self._batches(most):
            if batch.labels is None:
                raise DataError(f"{self.dataset.path}: there are no labels")
            yield batch.images, batch.labels

    def _batches(self, most: int) -> Iterator[Batch]:
        with batches(
            self.dataset,
            self.preprocess,
            self.input_shape,
            batch_size=most,
            skip_bad=self.skip_bad,
        ) as stream:
            yield from stream
            self.skipped.extend(entry.name for entry in stream.skipped)
