"""A second account of XNNPACK's formulas on x86-64 and ARM, sharing no code with the package.

Fused multiply-adds are computed with exact fractions or with a long double, whose 64 or more bits
hold the exact result for the numbers that occur; float32 rounding happens once.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
LOW, HIGH = -128, 127
SMALLEST = 2.0**-126
"""Of float32 with all of its bits."""
BELOW_FLOAT32, HALF_WAY = 2**29 - 1, 2**28
"""The bits of a double that float32 has not, and what stands in them between two float32."""


def clamp(values: Array) -> Array:
    """Return integers clamped to int8."""
    return np.clip(np.asarray(values, np.float64), LOW, HIGH).astype(np.int64)


def product_multiplier(first: float, second: float, output: float) -> np.float32:
    """Return the multiplier of MUL."""
    return np.float32(np.float32(np.float32(first) * np.float32(second)) / np.float32(output))


def products_on_x86(products: Array, multiplier: np.float32, zero: int) -> Array:
    """MUL: a float32 product, to the nearest integer, ties to even."""
    return clamp(np.rint(products.astype(np.float32) * multiplier) + zero)


def products_on_arm(products: Array, multiplier: np.float32, zero: int) -> Array:
    """MUL: the multiplier's 24 bits as an integer, a shift that rounds half up."""
    bits = int(np.float32(multiplier).view(np.uint32))
    mantissa, shift = (bits & 0x7FFFFF) | 0x800000, 150 - (bits >> 23)
    return clamp(((products.astype(np.int64) * mantissa + 2 ** (shift - 1)) >> shift) + zero)


def table_on_x86(reals: Array, scale: float, zero: int) -> Array:
    """A table's results: y (1 / s), rounded, + z, rounded."""
    inverse = np.float32(1) / np.float32(scale)
    return clamp(np.rint(reals.astype(np.float32) * inverse + np.float32(zero)))


def table_on_arm(reals: Array, scale: float, zero: int) -> Array:
    """A table's results: y (1 / s) + z, rounded once."""
    inverse = Fraction(float(np.float32(1) / np.float32(scale)))
    fused = [nearest_float32(Fraction(float(real)) * inverse + zero) for real in reals]
    return clamp(np.rint(np.asarray(fused, np.float32)))


def nearest_float32(value: Fraction) -> np.float32:
    """Return the nearest float32, of two the even one.

    A double that lies half way between two float32 may have been rounded there: it alone is looked
    at exactly.
    """
    double = np.float64(float(value))
    near = np.float32(double)
    if abs(double) > SMALLEST and int(double.view(np.uint64)) & BELOW_FLOAT32 != HALF_WAY:
        return near
    candidates = [near, np.nextafter(near, -np.inf), np.nextafter(near, np.inf)]
    candidates = [np.float32(candidate) for candidate in candidates]
    return min(
        candidates,
        key=lambda candidate: (
            abs(Fraction(float(candidate)) - value),
            int(candidate.view(np.uint32)) & 1,
        ),
    )


def means_on_x86(sums: Array, count: int, x: tuple[float, int], y: tuple[float, int]) -> Array:
    """MEAN: every step rounded to float32."""
    inverse = _mean_inverse(count, x[0], y[0])
    shifted = np.float32(np.float32(count * x[1]) * inverse)
    offset = np.float32(np.float32(y[1]) - shifted)
    return clamp(np.rint(sums.astype(np.float32) * inverse + offset))


def means_on_arm(sums: Array, count: int, x: tuple[float, int], y: tuple[float, int]) -> Array:
    """MEAN: both multiply-adds rounded once."""
    wide = np.longdouble(_mean_inverse(count, x[0], y[0]))
    offset = np.float32(np.longdouble(y[1]) - np.longdouble(count * x[1]) * wide)
    fused = (sums.astype(np.longdouble) * wide + np.longdouble(offset)).astype(np.float32)
    return clamp(np.rint(fused))


def _mean_inverse(count: int, x_scale: float, y_scale: float) -> np.float32:
    ratio = np.float32(np.float32(x_scale) / np.float32(y_scale))
    return np.float32(ratio * (np.float32(1) / np.float32(count)))


def positions_on_arm(size: int, out: int) -> Array:
    """Half-pixel RESIZE_BILINEAR: k step + offset of every k, rounded once.

    A double holds k step + offset exactly for sizes up to 64: multiples of 2^-30, below 2^6.
    """
    step = np.float32(size) / np.float32(out)
    offset = np.float32(np.float32(0.5) * step) - np.float32(0.5)
    return (np.arange(out) * np.float64(step) + np.float64(offset)).astype(np.float32)


def all_products(first_zero: int, second_zero: int) -> Array:
    """Return every product of two centered int8, in order, once each."""
    integers = np.arange(LOW, HIGH + 1)
    products = np.multiply.outer(integers - first_zero, integers - second_zero).ravel()
    least = products.min()
    return np.flatnonzero(np.bincount(products - least)) + least


def centered(zero: int) -> Array:
    """Return every centered int8."""
    return np.arange(LOW, HIGH + 1) - zero


def all_sums(count: int) -> Array:
    """Return every sum of `count` int8."""
    return np.arange(count * LOW, count * HIGH + 1)
