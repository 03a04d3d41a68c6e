"""Reals onto an integer grid and back: the only rounding of reals that is not a device's kernel.

Source: Jacob et al. 2018 (arXiv:1712.05877), section 2.1. Ties round to even, as torch rounds.
"""

from __future__ import annotations

import torch
from torch import Tensor

from intaglio.errors import RangeError
from intaglio.numerics.spec import QuantParams, QuantSpec

FLOAT32_BITS = 16
"""Integers of more bits are rounded in float64: float32 holds only 24 bits of them."""


def params_from_range(low: Tensor, high: Tensor, spec: QuantSpec) -> QuantParams:
    """Choose the scale and zero point that cover the real range [low, high].

    The range is first widened to contain 0.0, so that zero padding and ReLU's zero are exact.
    A range of only zeros, or one too small for float32 to divide, gets the scale 1: zeros stay
    zeros.

    Args:
        low, high: Smallest and largest real value; shape [] or [C] when `spec.axis` is set.
        spec: The integer grid to map onto.

    Returns:
        `scale` [] or [C], float32; `zero_point` of the same shape, int32.

    Raises:
        RangeError: If a bound is not finite, or low > high anywhere.
    """
    if not (low.isfinite().all() and high.isfinite().all()):
        raise RangeError("cannot choose a scale: the observed range has NaN or infinity in it")
    if (low > high).any():
        raise RangeError(f"low must be <= high, got low={low.tolist()} high={high.tolist()}")
    low, high = low.double().clamp(max=0.0), high.double().clamp(min=0.0)
    if spec.symmetric:
        scale = (torch.maximum(-low, high) / spec.qmax).float()
    else:
        scale = ((high - low) / (spec.qmax - spec.qmin)).float()
    # a subnormal scale loses its digits when a kernel multiplies with it
    scale = scale.where(scale >= torch.finfo(torch.float32).tiny, torch.ones(()))
    if spec.symmetric:
        return QuantParams(scale, torch.zeros_like(scale, dtype=torch.int32), spec)
    zero_point = (spec.qmin - low / scale).round().clamp(spec.qmin, spec.qmax)
    return QuantParams(scale, zero_point.int(), spec)


def quantize(values: Tensor, params: QuantParams) -> Tensor:
    """Return the nearest integers of the grid, int32, same shape; what is outside saturates."""
    scale, zero_point = _broadcast(params, values.ndim)
    if params.spec.bits > FLOAT32_BITS:
        values = values.double()
    integers = (values / scale).round() + zero_point
    return integers.clamp(params.spec.qmin, params.spec.qmax).int()


def dequantize(integers: Tensor, params: QuantParams) -> Tensor:
    """Return the float32 reals that the integers stand for, same shape."""
    scale, zero_point = _broadcast(params, integers.ndim)
    return (integers - zero_point).float() * scale


def fake_quantize(values: Tensor, params: QuantParams) -> Tensor:
    """Return `values` moved to the nearest point of the grid, still float32."""
    return dequantize(quantize(values, params), params)


def centered_ends(zero_point: Tensor, spec: QuantSpec) -> tuple[Tensor, Tensor]:
    """Return the lowest and the highest integer minus zero point, float32, shaped like it."""
    return (spec.qmin - zero_point).float(), (spec.qmax - zero_point).float()


def centered_integers(values: Tensor, params: QuantParams) -> Tensor:
    """Return the nearest integers of the grid minus its zero point, float32, same shape."""
    _, zero_point = _broadcast(params, values.ndim)
    return (quantize(values, params) - zero_point).float()


def _broadcast(params: QuantParams, rank: int) -> tuple[Tensor, Tensor]:
    axis = params.spec.axis
    return spread(params.scale, axis, rank), spread(params.zero_point, axis, rank)


def spread(values: Tensor, axis: int | None, rank: int) -> Tensor:
    """Return numbers along an axis, [C], in a shape that broadcasts with `rank` axes; [] as it is.

    Args:
        axis: `QuantSpec.axis`; None: there is one number for all.
    """
    if axis is None or values.ndim == 0:
        return values
    shape = [1] * rank
    shape[axis] = -1
    return values.reshape(shape)
