"""The fused multiply-add of ARM, which rounds once where x86-64's two operations round twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def fused_multiply_add(
    first: npt.NDArray[Any] | np.float32, second: np.float32, addend: np.float32
) -> tuple[Floats, Floats]:
    """Return two float32 arrays between which float32(first * second + addend) lies.

    They differ only where float64 cannot tell how the exact value is rounded, which is rare.
    float64 holds a product of two float32 exactly. Where the sum is rounded there, the exact value
    lies between the sum and its neighbour on the side of the error (Knuth's two-sum).

    Args:
        first: float32 values, any shape.
    """
    product = np.asarray(first, np.float64) * np.float64(second)
    total = product + np.float64(addend)
    part = total - product
    error = (product - (total - part)) + (np.float64(addend) - part)
    low = np.where(error < 0, np.nextafter(total, -np.inf), total)
    high = np.where(error > 0, np.nextafter(total, np.inf), total)
    return low.astype(np.float32), high.astype(np.float32)
