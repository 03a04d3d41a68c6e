"""Integers of weights and biases, the same for the twin and for the writers."""

from __future__ import annotations

import torch
from torch import Tensor

from intaglio.numerics.affine import quantize
from intaglio.numerics.spec import QuantParams

BEYOND_INT32 = 2**40
"""Larger biases are held as this one: no int64 would hold them, and none of them fits a layer."""


def integer_weight(weight: Tensor, params: QuantParams) -> Tensor:
    """Return the integers of a weight, int32, same shape."""
    return quantize(weight, params)


def integer_bias(bias: Tensor, input_scale: Tensor, weight_scale: Tensor) -> Tensor:
    """Return round(bias / (s_x * s_w)) as int64, [C_out].

    The step is the float32 product, which is what the file states as the bias' scale.
    """
    step = (input_scale.float() * weight_scale.float()).double()
    steps = (bias.double() / step).round()
    return steps.clamp(-BEYOND_INT32, BEYOND_INT32).to(torch.int64)
