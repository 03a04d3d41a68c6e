"""Weights that are still undecided between the integer below and the one above.

    w = s (base + h(V))      h(V) = clip(1.2 sigmoid(V) - 0.1, 0, 1)

Training moves h to 0 or 1 by its effect on a layer's result; a regulariser that grows sharper makes
it settle there. The stretched sigmoid reaches both ends at finite V, so that the gradient does not
fade before it is there.

Source: Nagel et al. 2020 (arXiv:2004.10568), equations 21 to 24. We let the start be any integers,
such as second-order rounding's: the second choice of each weight is then the neighbour on the side
of the real weight. How V is learned: train_rounding.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.numerics.affine import centered_ends, spread
from intaglio.numerics.spec import QuantParams

ZETA, GAMMA = 1.1, -0.1
"""Ends of the stretched sigmoid."""
SETTLED = 0.02
"""An h nearer than this to 0 or 1 at the start would hardly move: it is put here."""


@dataclass(frozen=True, eq=False)
class SoftWeight:
    """A weight between integers; `logits` is what is learned.

    Attributes:
        base: Lower choices, real integers minus zero point, [C_out, ...].
        logits: V, same shape.
    """

    base: Tensor
    logits: Tensor

    def steps(self) -> Tensor:
        """Return base + h(V): the weight in steps, differentiable."""
        return self.base + rectified_sigmoid(self.logits)

    def hard(self) -> Tensor:
        """Return the integers that the weight stands for now: h is rounded."""
        return self.base + (rectified_sigmoid(self.logits.detach()) >= 0.5).float()


def rectified_sigmoid(logits: Tensor) -> Tensor:
    """Return h(V) in [0, 1], same shape."""
    return (torch.sigmoid(logits) * (ZETA - GAMMA) + GAMMA).clamp(0.0, 1.0)


def inverse_rectified_sigmoid(shares: Tensor) -> Tensor:
    """Return the V with h(V) = `shares`, each in [0, 1]."""
    inner = (shares - GAMMA) / (ZETA - GAMMA)
    return torch.logit(inner)


def soft_weight(
    steps: Tensor, integers: Tensor, params: QuantParams, *, reach: float
) -> SoftWeight:
    """Return an undecided weight that hardens to `integers` where nothing is learned.

    Args:
        steps: The real weight over its scale, [C_out, ...].
        integers: Where to start, minus the zero point, same shape.
        params: The grid that they are of.
        reach: How far towards the real weight h may start away from `integers`, in steps, below
            0.5: the nearer to 0.5, the more easily a weight changes its integer.
    """
    ends = centered_ends(params.zero_point, params.spec)
    low, high = (spread(end, params.spec.axis, steps.ndim) for end in ends)
    away = steps - integers
    upward = torch.where(away == 0, integers < high, away > 0)
    base = torch.where(upward, integers, integers - 1.0).clamp(low, high - 1.0)
    start = integers - base  # 0 or 1
    distance = away.abs().clamp(SETTLED, reach)
    shares = torch.where(start > 0.5, 1.0 - distance, distance)
    return SoftWeight(base, inverse_rectified_sigmoid(shares))


def spread_scale(params: QuantParams, rank: int) -> Tensor:
    """Return a weight's scale in a shape that broadcasts with it, [] or [1, ..., C, ..., 1]."""
    return spread(params.scale, params.spec.axis, rank)
