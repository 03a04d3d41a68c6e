"""The training loop of learned rounding: an error to lower, and weights that have to settle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.methods.rounding.soft_rounding import rectified_sigmoid

HIGH, LOW = 20.0, 2.0
"""The regulariser's exponent behind the warm-up and at the end."""
GROWTH = 10.0
"""How much heavier the regulariser is at the end than at the start."""
JUDGED_SHARE = 8
"""One row or image in so many is kept for judging what was learned."""


@dataclass(frozen=True)
class Training:
    """Settings of the loop.

    Attributes:
        steps: How many.
        learning_rate: Of Adam, for V; that of other parameters falls to 0 from there.
        regulariser: Weight of undecidedness beside the relative error.
        warm_up: Share of the steps before the regulariser sets in, 0..1.
    """

    steps: int
    learning_rate: float
    regulariser: float
    warm_up: float

    def pull(self, logits: Sequence[Tensor], progress: float) -> Tensor:
        """Return what undecidedness adds to the error at a share `progress` of the steps, [].

        It grows by equal factors: at last it outweighs the data of weights that would rest between
        two integers.
        """
        if progress < self.warm_up or not logits:
            return torch.zeros(())
        exponent = annealed_exponent(progress, self.warm_up)
        parts = [undecidedness(part, exponent) for part in logits]
        weight = self.regulariser * float(GROWTH**progress)
        return weight * torch.stack(parts).sum()


def train(
    training: Training,
    logits: Sequence[Tensor],
    others: Sequence[Tensor],
    error: Callable[[], Tensor],
) -> None:
    """Lower an error by moving `logits` and `others` in place.

    Args:
        logits: V of each weight; they settle where h(V) is 0 or 1.
        others: Parameters without regulariser, in units such that steps of the learning rate suit.
        error: Called for each step; returns the error, [], relative to the one at the start.
    """
    for part in (*logits, *others):
        part.requires_grad_()
    groups = [{"params": list(part)} for part in (logits, others) if part]
    optimizer = torch.optim.Adam(groups, lr=training.learning_rate)
    for step in range(training.steps):
        progress = step / training.steps
        if others:
            optimizer.param_groups[-1]["lr"] = training.learning_rate * (1.0 - progress)
        loss = error() + training.pull(logits, progress)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    for part in (*logits, *others):
        part.requires_grad_(False)


def undecidedness(logits: Tensor, exponent: float) -> Tensor:
    """Return the mean of 1 - |2h - 1|^exponent, []: 0 where every h is 0 or 1, at most 1.

    Source: Nagel et al. 2020 (arXiv:2004.10568), equation 24; there the sum.
    """
    shares = rectified_sigmoid(logits)
    return 1.0 - (2.0 * shares - 1.0).abs().pow(exponent).mean()


def annealed_exponent(progress: float, warm_up: float) -> float:
    """Return the regulariser's exponent: HIGH at the end of the warm-up, LOW at the end of all.

    A high exponent leaves all but the undecided alone; a low one pulls at every h. The paper's
    thousands of steps go down linearly; with hundreds that leaves too few at the low end for every
    h to settle, so ours goes down by equal factors.

    Args:
        progress: Share of the steps that is done, 0..1.
        warm_up: Share of the steps before the regulariser sets in.
    """
    done = max(0.0, (progress - warm_up) / (1.0 - warm_up))
    return float(HIGH * (LOW / HIGH) ** done)


def judged_count(count: int, least: int = 1) -> int:
    """Return how many of `count` rows or images, the last ones, are for judging, not learning.

    Too few for two parts of `least` are both: learned from and judged on. Then it is `count`.
    """
    return count if count < 2 * least else max(least, count // JUDGED_SHARE)
