"""What a step makes small: the task's loss, the distance to the float network, or some of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from intaglio.methods.learn.options import TrainOptions
from intaglio.tasks.task import Labels, Outputs, Task

MIXUP = 1
"""Tells the numbers that are drawn for mixup from others of the same seed and step."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """What outputs for a batch are held against.

    Attributes:
        labels: Of the images; with mixup those of the images that are mixed in as well: (share,
            labels) each, shares sum to 1.
        float_outputs: What the float network makes of the same images; None where it is not asked.
    """

    labels: Sequence[tuple[float, Labels]]
    float_outputs: Outputs | None = None


def batch_loss(task: Task, outputs: Outputs, wanted: Wanted, options: TrainOptions) -> Tensor:
    """Return the loss of a batch, [].

        (1 - distill) loss(outputs, labels) + distill distance(outputs, float outputs)

    A part of which the share is 0 is not computed: distill = 1 needs no labels.
    """
    parts = []
    if options.distill < 1.0:
        for share, labels in wanted.labels:
            loss = task.loss(outputs, labels, smoothing=options.smoothing)
            parts.append((1.0 - options.distill) * share * loss)
    if options.distill > 0.0:
        assert wanted.float_outputs is not None
        distance = task.distance(outputs, wanted.float_outputs, temperature=options.temperature)
        parts.append(options.distill * distance)
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def own_share(options: TrainOptions, step: int) -> float:
    """Return which share of a mixed image is the image itself, 0..1; 1 where none are mixed.

    One for a whole step, from Beta(mixup, mixup), by seed and step alone.
    Source: Zhang et al. 2018, arXiv:1710.09412.
    """
    if not options.mixup:
        return 1.0
    generator = np.random.default_rng([options.seed, step, MIXUP])
    return float(generator.beta(options.mixup, options.mixup))


def mixed(images: Tensor, partners: Tensor, share: float) -> Tensor:
    """Return share * images + (1 - share) * partners, [N, C, H, W] as both."""
    return images * share + partners * (1.0 - share)
