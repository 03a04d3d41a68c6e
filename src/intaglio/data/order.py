"""The order in which training sees its images: a function of seed and step, and of nothing else.

So a run that goes on where it was killed needs no state of this: it asks for the step that it is
at. Each epoch sees each image once, but for those of an incomplete last batch, which are others in
each epoch.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from intaglio.data.seeded import generator_of
from intaglio.errors import DataError, RequestError


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """Return the order of an epoch: a permutation of 0 to count - 1, [count] int64."""
    return torch.randperm(count, generator=generator_of("order", seed, epoch))


def steps_in_epoch(count: int, batch: int) -> int:
    """Return how many batches an epoch has, at least 1.

    Raises:
        DataError: If there are no images.
        RequestError: If a batch is of less than one image.
    """
    if count < 1:
        raise DataError("there are no images to train on: the data is empty")
    if batch < 1:
        raise RequestError(f"a batch of {batch} images: give 1 or more")
    return max(1, count // batch)


def step_indices(count: int, batch: int, *, seed: int, step: int) -> list[int]:
    """Return which images a step sees.

    Args:
        count: Images that there are.
        batch: Images in a step; cut to `count`.
        seed: Of the order.
        step: From 0, over all epochs.

    Returns:
        The indices of the batch, no image twice, in the order of the batch.

    Raises:
        DataError: If there are no images.
        RequestError: If a batch is of less than one image.
    """
    return next(steps_from(count, batch, seed=seed, step=step))


def steps_from(count: int, batch: int, *, seed: int, step: int = 0) -> Iterator[list[int]]:
    """Return `step_indices` of this step and of all that follow, without end.

    The permutation of an epoch is drawn once, where `step_indices` draws it for each step.
    """
    in_epoch = steps_in_epoch(count, batch)
    return _steps(count, min(batch, count), in_epoch, seed=seed, step=step)


def _steps(count: int, size: int, in_epoch: int, *, seed: int, step: int) -> Iterator[list[int]]:
    epoch, first = divmod(step, in_epoch)
    while True:
        order = epoch_order(count, seed, epoch)
        for number in range(first, in_epoch):
            yield order[number * size : (number + 1) * size].tolist()
        epoch, first = epoch + 1, 0
