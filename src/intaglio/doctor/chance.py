"""How far chance goes: what is told from images, with its standard error over them.

A standard error is that of the jackknife (Efron and Stein 1981, "The jackknife estimate of
variance", for groups: Kott 2001, "The delete-a-group jackknife"): the figure is computed anew
without each group of images, and the spread of the results says how much it hangs on which images
were drawn. It holds for every smooth figure, and memory does not grow with the number of images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

GROUPS = 32
"""Groups of images that are left out in turn; up to so many images each is a group of its own."""

SURE = 3.0
"""Standard errors beyond which chance is ruled out: once in 740 times for one figure."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """Figures told from some images.

    Attributes:
        value: From all of them, [...] float64.
        error: What chance adds or takes, [...] float64: standard errors, times SURE widened for
            few groups. Infinite where there were fewer than two.
    """

    value: Tensor
    error: Tensor

    def surely_above(self, bound: float) -> bool:
        """Whether any figure is above a bound by more than chance."""
        return bool((self.value - self.error > bound).any())

    def surely_below(self, bound: float) -> bool:
        """Whether any figure is below a bound by more than chance."""
        return bool((self.value + self.error < bound).any())

    def magnitude(self) -> Estimate:
        """Return the same of the figures' magnitudes."""
        return Estimate(self.value.abs(), self.error)


def estimate(value: Tensor, without_each: Sequence[Tensor]) -> Estimate:
    """Return figures with what chance adds or takes.

    Args:
        value: From all images, [...].
        without_each: The same without each group of them.
    """
    groups = len(without_each)
    if groups < 2:
        return Estimate(value, torch.full_like(value, torch.inf))
    others = torch.stack(list(without_each))
    squares = (others - others.mean(0)).square().sum(0) * (groups - 1) / groups
    return Estimate(value, squares.sqrt() * student(SURE, groups - 1))


def student(deviations: float, freedom: int) -> float:
    """Return the quantile of Student's t that is as rare as `deviations` of a normal distribution.

    Source: Abramowitz and Stegun 1964, 26.7.5, the first three corrections: 1 % too low for 7
    degrees of freedom and 3 deviations, exact for many.
    """
    z, corrections = deviations, [0.0, 0.0, 0.0]
    corrections[0] = (z**3 + z) / 4.0
    corrections[1] = (5.0 * z**5 + 16.0 * z**3 + 3.0 * z) / 96.0
    corrections[2] = (3.0 * z**7 + 19.0 * z**5 + 17.0 * z**3 - 15.0 * z) / 384.0
    return math.fsum([z, *(part / freedom**k for k, part in enumerate(corrections, 1))])
