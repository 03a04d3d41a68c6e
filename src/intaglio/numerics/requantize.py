"""Bringing an accumulator to the output's integer grid, as each runtime's kernels do it.

Three arithmetics, all found by experiment against ai-edge-litert 2.3.0 and held by property tests:

* `float32_requantize`: XNNPACK (one float32 product, rounded half to even);
* `double_rounding`: LiteRT's reference kernels (gemmlowp: a rounding doubling high multiply, then a
  rounding shift), used by convolutions, ADD, SUB, MUL, MEAN;
* `round_away`: LiteRT's reference fully connected (one rounding, ties away from zero).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


def float32_multiplier(
    input_scale: np.float32, weight_scale: Tensor, output_scale: np.float32
) -> Tensor:
    """Return f32(f32(s_x * s_w) / s_y), shape of `weight_scale`, in XNNPACK's order of rounding."""
    product = torch.tensor(input_scale) * weight_scale
    return product / torch.tensor(output_scale)


def float32_requantize(accumulator: Tensor, multiplier: Tensor | float) -> Tensor:
    """Return rint(accumulator * multiplier) in float32, without the zero point (XNNPACK).

    Args:
        accumulator: float32 holding what XNNPACK converts its int32 accumulator to.
        multiplier: float32, broadcastable.
    """
    return (accumulator * multiplier).round_()


def fixed_point_multiplier(real: float) -> tuple[int, int]:
    """Return (mantissa, exponent) with real = mantissa * 2**(exponent - 31), as TFLite encodes it.

    The mantissa is in [2**30, 2**31), or 0 where the exponent would be below -31.
    Source: QuantizeMultiplier, tensorflow/lite/kernels/internal/quantization_util.cc.
    """
    if real == 0.0:
        return 0, 0
    fraction, exponent = math.frexp(real)
    mantissa = math.floor(fraction * 2**31 + 0.5)
    if mantissa == 2**31:
        mantissa, exponent = mantissa // 2, exponent + 1
    if exponent < -31:
        return 0, 0
    return mantissa, exponent


def high_multiply(values: Tensor, mantissa: Tensor | int) -> Tensor:
    """Return floor((values * mantissa + 2**30) / 2**31) on int64: ARM's SQRDMULH."""
    return (values * mantissa + (1 << 30)) >> 31


def shift_half_away(values: Tensor, right: Tensor | int) -> Tensor:
    """Return values / 2**right on int64, rounded half away from zero; right = 0 changes nothing."""
    bits = torch.as_tensor(right, dtype=torch.int64)
    half = (torch.ones_like(bits) << bits) >> 1
    return values.sign() * ((values.abs() + half) >> bits)


def double_rounding(values: Tensor, mantissa: Tensor | int, exponent: Tensor | int) -> Tensor:
    """Return values * mantissa * 2**(exponent - 31) on int64 with gemmlowp's two roundings."""
    power = torch.as_tensor(exponent, dtype=torch.int64)
    return shift_half_away(
        high_multiply(values << power.clamp(min=0), mantissa), (-power).clamp(min=0)
    )


def round_away(values: Tensor, mantissa: Tensor | int, exponent: Tensor | int) -> Tensor:
    """Return values * mantissa * 2**(exponent - 31) on int64, one rounding, ties away from zero."""
    right = 31 - torch.as_tensor(exponent, dtype=torch.int64)
    half = torch.ones_like(right) << (right - 1)
    return values.sign() * ((values.abs() * mantissa + half) >> right)


def fixed_point_multipliers(reals: Tensor) -> tuple[Tensor, Tensor]:
    """Return int64 mantissas and exponents of float64 `reals`, any shape, element by element."""
    pairs = [fixed_point_multiplier(float(real)) for real in reals.double().flatten()]
    mantissas = torch.tensor([mantissa for mantissa, _ in pairs], dtype=torch.int64)
    exponents = torch.tensor([exponent for _, exponent in pairs], dtype=torch.int64)
    return mantissas.reshape(reals.shape), exponents.reshape(reals.shape)
