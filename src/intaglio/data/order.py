"""The order in which training sees its images: a function of seed and step, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def step_indices(count: int, batch: int, *, seed: int, step: int) -> list[int]:
    """Return which images a step sees; a batch is cut to `count`."""
    size = min(batch, count)
    epoch, number = divmod(step, count // size)
    shuffled = np.random.default_rng([seed, epoch]).permutation(count)
    found: list[int] = shuffled[number * size : (number + 1) * size].tolist()
    return found


def steps_from(count: int, batch: int, *, seed: int, step: int = 0) -> Iterator[list[int]]:
    """Return `step_indices` of this step and of all that follow, without end."""
    while True:
        yield step_indices(count, batch, seed=seed, step=step)
        step += 1
