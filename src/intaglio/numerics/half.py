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


def is_half(values: Tensor) -> bool:
    """Whether every number is one that float16 holds."""
    return values.dtype == torch.float32 and torch.equal(rounded_to_half(values), values)
