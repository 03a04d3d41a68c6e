"""Integers of weights and biases, the same for the twin and for the writers."""

from __future__ import annotations

import torch
from torch import Tensor

from intaglio.numerics.affine import quantize
from intaglio.numerics.spec import QuantParams

BIAS_LIMIT = 2**30


def integer_weight(weight: Tensor, params: QuantParams) -> Tensor:
    """Return the integers of a weight, int32, same shape."""
    return quantize(weight, params)


def integer_bias(bias: Tensor, input_scale: Tensor, weight_scale: Tensor) -> Tensor:
    """Return round(bias / (s_x * s_w)) as int64, [C_out].

    The step is the float32 product, which is what the file states as the bias' scale.
    """
    step = (input_scale.float() * weight_scale.float()).double()
    return (bias.double() / step).round().to(torch.int64)
