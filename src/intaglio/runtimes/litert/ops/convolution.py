"""Integer convolutions and fully connected layers.

    accumulator = bias + sum (q_x - z_x) q_w                                      exact int32
    xnnpack     q_y = rint(f32(accumulator) * f32(f32(s_x s_w) / s_y)) + z_y      half to even
    reference   q_y = double_rounding(accumulator, s_x s_w / s_y) + z_y           convolutions
                q_y = round_away(accumulator, s_x s_w / s_y) + z_y                fully connected

A pointwise convolution whose weight has 4 or 2 bits is a fully connected layer in the file.

Kernels: XNNPACK's qs8-qc8w gemm, igemm and dwconv, qs8-qc4w and qs8-qc2w gemm (fp32 requantization)
and LiteRT's reference_integer_ops conv, depthwise_conv, fully_connected, transpose_conv;
ai-edge-litert 2.3.0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.numerics.accumulate import FLOAT32_EXACT, largest_partial_sum
from intaglio.numerics.requantize import (
    double_rounding,
    fixed_point_multipliers,
    float32_multiplier,
    round_away,
)
from intaglio.run.site import (
    Kernel,
    Site,
    activation_bounds,
    as_float,
    centered_range,
    integer_kernel,
    per_channel,
)
from intaglio.run.weights import INT4_SHIFT
from intaglio.runtimes.litert.low_bits import runs_as_matrix

MULTIPLIER_LIMIT = 256.0
"""XNNPACK does not prepare a layer whose s_x s_w / s_y reaches it: the file would not load."""

Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(inputs, weight, bias) -> accumulator."""


@integer_kernel("conv2d")
def prepare_conv2d(site: Site) -> Kernel:
    """Convolution, grouped, dilated or depthwise."""
    attrs = site.node.attrs
    top, bottom, left, right = attrs["padding"]
    symmetric = (top, left) == (bottom, right)

    def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not symmetric:
            x = F.pad(x, (left, right, top, bottom))
        padding = (top, left) if symmetric else (0, 0)
        return F.conv2d(
            x, weight, bias, attrs["stride"], padding, attrs["dilation"], attrs["groups"]
        )

    return _requantized(site, product, 0)


@integer_kernel("conv_transpose2d")
def prepare_conv_transpose2d(site: Site) -> Kernel:
    """Transposed convolution of one group."""
    attrs = site.node.attrs

    def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv_transpose2d(
            x,
            weight,
            bias,
            attrs["stride"],
            attrs["padding"],
            attrs["output_padding"],
            attrs["groups"],
            attrs["dilation"],
        )

    return _requantized(site, product, 1)


@integer_kernel("linear")
def prepare_linear(site: Site) -> Kernel:
    """Fully connected over the last axis."""

    def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(x, weight, bias)

    return _requantized(site, product, 0)


def _requantized(site: Site, product: Product, output_axis: int) -> Kernel:
    assert site.weight is not None
    assert site.weight_scale is not None
    sums = largest_partial_sum(
        site.weight.transpose(0, output_axis), *centered_range(site.inputs[0])
    )
    largest = sums if site.bias is None else sums + site.bias.abs().double()  # [C_out]
    is_matrix = runs_as_matrix(site.node, site.weight.shape, site.weight_bits)
    is_shifted = is_matrix and site.weight_bits == 4 and not site.is_reference
    _refuse_beyond_int32(site, largest * 2.0 ** (INT4_SHIFT if is_shifted else 0))
    accumulate = _exact_accumulator(site, product, sums)
    rank = 2 if site.node.op == "linear" else 4
    bounds = activation_bounds(site)
    if site.is_reference:
        is_connected = is_matrix or site.node.op == "linear"
        requantize = round_away if is_connected else double_rounding
        real = site.inputs[0].scale.double() * site.weight_scale.double()
        parts = fixed_point_multipliers(real / site.output.scale.double())
        _refuse_beyond_int32(site, largest * 2.0 ** parts[1].clamp(min=0))
        mantissa, exponent = (per_channel(part, rank) for part in parts)

        def reference(inputs: Sequence[Tensor]) -> Tensor:
            accumulator = accumulate(inputs[0]).to(torch.int64)
            return as_float(requantize(accumulator, mantissa, exponent).clamp_(*bounds))

        return reference
    multipliers = float32_multiplier(site.inputs[0].step, site.weight_scale, site.output.step)
    _refuse_large_multiplier(site, float(multipliers.max()))
    multiplier = per_channel(multipliers, rank)

    def xnnpack(inputs: Sequence[Tensor]) -> Tensor:
        accumulator = accumulate(inputs[0]).to(torch.float32)
        return accumulator.mul_(multiplier).round_().clamp_(*bounds)

    return xnnpack


def _refuse_beyond_int32(site: Site, largest: Tensor) -> None:
    """Accumulators are int32; some kernels shift them up before they multiply."""
    if float(largest.max()) >= 2.0**31:
        raise site.refuse(
            f"its accumulator may reach {float(largest.max()):.3g}, beyond int32",
            "Look at its output's range, which is tiny, or split the layer's input channels",
        )


def _refuse_large_multiplier(site: Site, multiplier: float) -> None:
    """XNNPACK refuses to load a file with a larger one."""
    if multiplier >= MULTIPLIER_LIMIT:
        raise site.refuse(
            f"its multiplier s_x s_w / s_y is {multiplier:.3g}, not below {MULTIPLIER_LIMIT:g}",
            "Look at its output's range, which is tiny beside its inputs and weights",
        )


def _exact_accumulator(site: Site, product: Product, sums: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a function that makes exact accumulators: float32 where that is proven, else float64.

    Args:
        sums: [C_out], bounds of the sums of products without the bias.
    """
    assert site.weight is not None
    weight = site.weight.float()
    if weight.ndim == 4:
        weight = weight.contiguous(memory_format=torch.channels_last)
    bias = site.bias
    with_bias = sums if bias is None else sums + bias.abs().double()
    if float(with_bias.max()) < FLOAT32_EXACT:
        short = None if bias is None else bias.float()
        return lambda x: product(x, weight, short)
    long_bias = None if bias is None else bias.double()
    if float(sums.max()) < FLOAT32_EXACT and long_bias is not None:
        shaped = per_channel(long_bias, weight.ndim)
        return lambda x: product(x, weight, None).double().add_(shaped)
    wide = weight.double()
    return lambda x: product(x.double(), wide, long_bias)
