"""float16: what becomes of real numbers in it (IEEE 754 binary16), counted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LARGEST = 65504.0
"""The largest number: (2 - 2**-10) 2**15."""
SMALLEST_NORMAL = 2.0**-14
"""Below it numbers have fewer than 11 significant bits; 2**-24 is the smallest."""


@dataclass(frozen=True)
class HalfCounts:
    """What float16 does to a set of numbers.

    Attributes:
        count: How many there are.
        overflow: How many have a magnitude beyond 65504.
        subnormal: How many become subnormal: below 2**-14 (6.1e-5) in magnitude, and not zero.
        zeros: How many become 0 and are not: at most 2**-25 (3.0e-8) in magnitude.
        largest: The largest magnitude; 0.0 of no numbers.
    """

    count: int
    overflow: int
    subnormal: int
    zeros: int
    largest: float

    def __add__(self, other: HalfCounts) -> HalfCounts:
        """Return the counts of both sets together."""
        return HalfCounts(
            self.count + other.count,
            self.overflow + other.overflow,
            self.subnormal + other.subnormal,
            self.zeros + other.zeros,
            max(self.largest, other.largest),
        )


NO_NUMBERS = HalfCounts(0, 0, 0, 0, 0.0)


def half_counts(values: Tensor) -> HalfCounts:
    """Return what float16 does to finite float32 numbers, rounded half to even; any shape."""
    if not values.numel():
        return NO_NUMBERS
    size, is_zero = values.abs(), values.half() == 0
    return HalfCounts(
        count=values.numel(),
        overflow=int((size > LARGEST).sum()),
        subnormal=int(((size < SMALLEST_NORMAL) & ~is_zero).sum()),
        zeros=int((is_zero & (values != 0)).sum()),
        largest=float(size.max()),
    )


def rounded_to_half(values: Tensor) -> Tensor:
    """Return float32 numbers rounded to float16, half to even, as float32; any shape."""
    return values.to(torch.float16).to(torch.float32)


def rows_rounded_to_half(rows: Tensor) -> Tensor:
    """Return rows of weights, [R, K], each number as one of its two float16 neighbours, float32.

    They are those whose sum is next to the row's own: a filter then answers an even picture as
    before, and with it most of what is even in others. From the nearest numbers on, those are
    exchanged for their other neighbours, each at most once, that take away most of the sum's error
    for what they add to the squared errors. Filters that take differences of large weights lose
    most to rounding each number by itself (on the first depthwise layer of a MobileNetV2 it decides
    the whole network's error).
    """
    exact, half = rows.double(), rows.half()
    nearest, other = half.double(), _other_neighbours(half, exact)
    is_free = other.isfinite() & (nearest != exact)
    steps = (other - nearest).where(is_free, 0.0)
    costs = (other - exact).square() - (nearest - exact).square()
    error = (nearest - exact).sum(1, keepdim=True)
    # cheapest first, as long as their steps do not lead beyond the sum
    is_right = is_free & (steps * error < 0.0)
    order = torch.where(is_right, costs / steps.abs(), torch.inf).argsort(1)
    sizes = steps.abs().where(is_right, torch.inf).gather(1, order)
    is_taken = torch.zeros_like(is_free).scatter(1, order, sizes.cumsum(1) <= error.abs())
    taken = steps.where(is_taken, 0.0)
    return _nearer_still(nearest + taken, error + taken.sum(1, keepdim=True), steps - taken, costs)


def _nearer_still(made: Tensor, error: Tensor, steps: Tensor, costs: Tensor) -> Tensor:
    """Return numbers after single steps that bring a row's sum nearer, float32.

    Args:
        made: [R, K], changed.
        error: Of the sums, [R, 1], changed.
        steps: To other neighbours that are still free; 0 where there is none.
        costs: What each adds to the squared errors.
    """
    free = torch.where(steps == 0.0, torch.inf, costs)
    while True:
        gains = error.abs() - (error + steps).abs()
        lowest, chosen = torch.where(gains > 0.0, free / gains, torch.inf).min(1)
        moving = lowest.isfinite().nonzero().flatten()
        if not len(moving):
            return made.float()
        picked = chosen[moving]
        made[moving, picked] += steps[moving, picked]
        error[moving, 0] += steps[moving, picked]
        free[moving, picked] = torch.inf


def _other_neighbours(nearest: Tensor, exact: Tensor) -> Tensor:
    """Return the float16 number on the other side of each real one, float64; infinite beyond."""
    above = torch.nextafter(nearest, torch.full_like(nearest, torch.inf))
    below = torch.nextafter(nearest, torch.full_like(nearest, -torch.inf))
    return torch.where(nearest.double() > exact, below, above).double()


def is_half(values: Tensor) -> bool:
    """Whether every number is one that float16 holds."""
    return values.dtype == torch.float32 and torch.equal(rounded_to_half(values), values)
