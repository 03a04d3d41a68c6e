"""When in a run of training something happens: rates, measurements, frozen batch norms."""

from __future__ import annotations

import math

from intaglio.methods.learn.options import TrainOptions

POLY = 0.9
"""Power by which the rate falls that segmenters are trained with."""


def rate_at(step: int, total: int, options: TrainOptions) -> float:
    """Return the rate of a step as a share of the highest, 0..1.

    Linear in the warm-up, where neither the first step nor the last one is idle; then along half a
    cosine to zero (Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts), as the power
    POLY of the share of steps that is left ("poly": Chen et al. 2018, arXiv:1606.00915, section
    4.1), to a tenth at a half and at three quarters of all steps ("step"), or constant.

    Args:
        step: Steps done before it.
        total: Steps of the run.
    """
    warm = round(options.warmup * total)
    if step < warm:
        return (step + 1) / (warm + 1)
    if options.schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / (total - warm)))
    if options.schedule == "poly":
        return float((1.0 - (step - warm) / (total - warm)) ** POLY)
    if options.schedule == "step":
        return float(0.1 ** ((2 * step >= total) + (4 * step >= 3 * total)))
    return 1.0


def steps_in_epoch(options: TrainOptions, images: int) -> int:
    """Return how many whole batches there are of the data's images, at least one."""
    return max(1, images // options.batch)


def steps_of(options: TrainOptions, images: int) -> int:
    """Return how many steps the epochs take, at least one.

    Args:
        images: How many the data has.
    """
    epochs = 1.0 if options.epochs is None else options.epochs
    return max(1, round(epochs * steps_in_epoch(options, images)))


def measured_after(total: int, count: int) -> frozenset[int]:
    """Return after how many steps to measure: `count` times, evenly spread, the last at the end."""
    return frozenset(max(1, round(total * (part + 1) / count)) for part in range(count))


def frozen_from(total: int, options: TrainOptions) -> int | None:
    """Return the number of steps after which batch norms keep their statistics; None: never."""
    step = round(options.freeze * total)
    return step if step < total else None


def steps_in(seconds: float, step_seconds: float, *, measuring: float = 0.0) -> int:
    """Return how many steps fit into the seconds, at least one.

    Args:
        step_seconds: What one takes.
        measuring: Seconds of them for all measurements.
    """
    return max(1, int((seconds - measuring) / step_seconds))
