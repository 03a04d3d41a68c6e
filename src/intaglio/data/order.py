"""The order in which training sees images: which ones each step takes, from the seed alone."""

from __future__ import annotations

import numpy as np


def step_indices(count: int, batch: int, seed: int, step: int) -> list[int]:
    """Return the indices of the images of a step, [batch], each of 0..count-1.

    The images are shuffled anew each time that all were seen.
    """
    found: list[int] = []
    while len(found) < batch:
        epoch, start = divmod(step * batch + len(found), count)
        shuffled = np.random.default_rng([seed, epoch]).permutation(count)
        found += shuffled[start : start + batch - len(found)].tolist()
    return found
