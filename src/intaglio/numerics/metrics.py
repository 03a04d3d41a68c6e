"""Measures of how far a quantized result is from the real one."""

from __future__ import annotations

import math


def sqnr_db(signal_power: float, noise_power: float) -> float:
    """Return 10 log10(signal / noise) in dB; infinite where there is no noise.

    Args:
        signal_power: Sum (or mean) of squares of the reference values.
        noise_power: Sum (or mean) of squares of the differences, over the same values.
    """
    if noise_power == 0.0:
        return math.inf
    if signal_power == 0.0:
        return -math.inf
    return 10.0 * math.log10(signal_power / noise_power)
