"""Statistics of batch norms, taken anew with the weights as they are now.

Running statistics are an average over batches of the last steps, in which weights moved, and jumped
between integers (Nagel et al. 2022, arXiv:2203.11086, section 2.3.1). Here they become the plain
mean over batches of one network: with momentum 1 / (k + 1) for batch k = 0, 1, ...,

    running = running k / (k + 1) + batch / (k + 1)

A variance is the mean of the batches' own, as a batch norm in training uses it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.methods.learn.learner import Learner

MEAN_SHARE = 0.25
"""How far means may move: the root mean square over channels, in deviations."""
VARIANCE_FACTOR = 1.5
"""By what factor variances may change: the root mean square of its logarithm over channels."""
LEAST_VARIANCE = 1e-3
"""Variance that a channel has at least here, as a share of its layer's mean: what is nearly
constant beside the others has no deviation to compare with."""
MOST_NAMED = 5


@dataclass(frozen=True)
class Drift:
    """How far the statistics of a layer were off.

    Attributes:
        layer: Its name.
        shift: Root mean square over channels of the mean's move, in deviations.
        factor: By what variances changed, up or down, >= 1: the root mean square of its logarithm.
    """

    layer: str
    shift: float
    factor: float

    @property
    def size(self) -> float:
        """How bad it is: 1 at the limit of means or variances."""
        return max(self.shift / MEAN_SHARE, math.log(self.factor) / math.log(VARIANCE_FACTOR))


def re_estimate(learner: Learner, batches: Iterable[Tensor]) -> list[str]:
    """Take the statistics of all batch norms that are not frozen anew; nothing else changes.

    Args:
        learner: The network.
        batches: Images [N, C, H, W] each, as it is trained with; of about the same size.

    Returns:
        Sentences without a full stop on the layers whose statistics were far off, the worst first.
        None where none were, where no batch norm is left, or no batch was given.
    """
    if not learner.norm_statistics():
        return []
    before = _copies(learner)
    momentum, observes, training = learner.norm_momentum, learner.observes, learner.training
    learner.train()
    learner.observes = False
    try:
        with torch.no_grad():
            for k, images in enumerate(batches):
                if k == 0:
                    _forget(learner)
                learner.norm_momentum = 1.0 / (k + 1)
                learner(images)
    finally:
        learner.norm_momentum, learner.observes = momentum, observes
        learner.train(training)
    return _sentences(before, _copies(learner))


def _copies(learner: Learner) -> dict[str, tuple[Tensor, Tensor]]:
    """Return copies of the statistics (mean, variance), [C] each, by layer."""
    return {
        layer: (mean.clone(), variance.clone())
        for layer, (mean, variance) in learner.norm_statistics().items()
    }


def _forget(learner: Learner) -> None:
    """Forget the statistics: even with momentum 1, NaN times 0 would stay."""
    for mean, variance in learner.norm_statistics().values():
        mean.zero_()
        variance.fill_(1.0)


def _sentences(
    before: Mapping[str, tuple[Tensor, Tensor]], after: Mapping[str, tuple[Tensor, Tensor]]
) -> list[str]:
    """Return what to tell about the statistics by layer, the worst first."""
    drifts = [_drift(layer, before[layer], after[layer]) for layer in before]
    far = sorted((one for one in drifts if not one.size <= 1.0), key=lambda one: -one.size)
    told = [
        f"the running statistics of {one.layer!r} were off: means by {one.shift:.3g} deviations,"
        f" variances by a factor of {one.factor:.3g}"
        for one in far[:MOST_NAMED]
    ]
    if len(far) > MOST_NAMED:
        told.append(f"so were those of {len(far) - MOST_NAMED} more layers, by less")
    return told


def _drift(layer: str, before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor]) -> Drift:
    """Return how far (mean, variance), [C] each, moved; infinitely far from what is not finite."""
    means = torch.stack([before[0], after[0]]).double()  # [2, C]
    variances = torch.stack([before[1], after[1]]).double()  # [2, C]
    if not bool(means.isfinite().all() and variances.isfinite().all()):
        return Drift(layer, math.inf, math.inf)
    least = LEAST_VARIANCE * float(variances[1].mean()) + 1e-12
    variances = variances.clamp(min=least)
    shift = (means[1] - means[0]) / variances[1].sqrt()  # [C]
    change = (variances[1] / variances[0]).log()  # [C]
    return Drift(
        layer,
        shift=float(shift.square().mean().sqrt()),
        factor=math.exp(float(change.square().mean().sqrt())),
    )
