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

from intaglio.ir.graph import Node
from intaglio.numerics.accumulate import FLOAT32_EXACT, largest_partial_sum
from intaglio.numerics.requantize import (
    double_rounding,
    fixed_point_multipliers,
    float32_multiplier,
    round_away,
)
from intaglio.ops.padding import padding_word, transposed_padding_word
from intaglio.runtimes.litert.format.layout import file_shape
from intaglio.runtimes.litert.low_bits import INT4_SHIFT, PACKED_BITS, runs_as_matrix
from intaglio.runtimes.litert.ops.site import LitertSite, activation_bounds, integer_kernel
from intaglio.runtimes.litert.ops.writing import Writing, activation_word, tflite_op
from intaglio.targets.site import Kernel, as_float, centered_range, per_channel

MULTIPLIER_LIMIT = 256.0
"""XNNPACK does not prepare a layer whose s_x s_w / s_y reaches it: the file would not load."""

PACKED_VERSIONS = {4: 10, 2: 12}
"""Weight bits to the version of FULLY_CONNECTED that has them."""

Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(inputs, weight, bias) -> accumulator."""


@integer_kernel("conv2d")
def prepare_conv2d(site: LitertSite) -> Kernel:
    """Convolution, grouped, dilated or depthwise."""
    attrs = site.node.attrs
    top, bottom, left, right = attrs["padding"]
    symmetric = (top, left) == (bottom, right)

    def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the accumulator [N, C_out, H_out, W_out]; uneven padding is made beforehand."""
        if not symmetric:
            x = F.pad(x, (left, right, top, bottom))
        padding = (top, left) if symmetric else (0, 0)
        return F.conv2d(
            x, weight, bias, attrs["stride"], padding, attrs["dilation"], attrs["groups"]
        )

    return _requantized(site, product, 0)


@integer_kernel("conv_transpose2d")
def prepare_conv_transpose2d(site: LitertSite) -> Kernel:
    """Transposed convolution of one group."""
    attrs = site.node.attrs

    def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the accumulator [N, C_out, H_out, W_out]."""
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
def prepare_linear(site: LitertSite) -> Kernel:
    """Fully connected over the last axis."""

    def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the accumulator [..., C_out]."""
        return F.linear(x, weight, bias)

    return _requantized(site, product, 0)


def _requantized(site: LitertSite, product: Product, output_axis: int) -> Kernel:
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
            """Return the accumulator times s_x s_w / s_y, rounded in integers and clamped."""
            accumulator = accumulate(inputs[0]).to(torch.int64)
            return as_float(requantize(accumulator, mantissa, exponent).clamp_(*bounds))

        return reference
    multipliers = float32_multiplier(site.inputs[0].step, site.weight_scale, site.output.step)
    _refuse_large_multiplier(site, float(multipliers.max()))
    multiplier = per_channel(multipliers, rank)

    def xnnpack(inputs: Sequence[Tensor]) -> Tensor:
        """Return the accumulator times s_x s_w / s_y, rounded in float32 and clamped."""
        accumulator = accumulate(inputs[0]).to(torch.float32)
        return accumulator.mul_(multiplier).round_().clamp_(*bounds)

    return xnnpack


def _refuse_beyond_int32(site: LitertSite, largest: Tensor) -> None:
    """Accumulators are int32; some kernels shift them up before they multiply."""
    if float(largest.max()) >= 2.0**31:
        raise site.refuse(
            f"its accumulator may reach {float(largest.max()):.3g}, beyond int32",
            "Look at its output's range, which is tiny, or split the layer's input channels",
        )


def _refuse_large_multiplier(site: LitertSite, multiplier: float) -> None:
    """XNNPACK refuses to load a file with a larger one."""
    if multiplier >= MULTIPLIER_LIMIT:
        raise site.refuse(
            f"its multiplier s_x s_w / s_y is {multiplier:.3g}, not below {MULTIPLIER_LIMIT:g}",
            "Look at its output's range, which is tiny beside its inputs and weights",
        )


def _exact_accumulator(
    site: LitertSite, product: Product, sums: Tensor
) -> Callable[[Tensor], Tensor]:
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


@tflite_op("conv2d")
def write_conv2d(node: Node, writing: Writing) -> None:
    """CONV_2D; DEPTHWISE_CONV_2D of single channels; FULLY_CONNECTED with 4 or 2 bits.

    The delegate has no convolutions with int4 or int2 weights. A pointwise one is FULLY_CONNECTED
    over the last axis of [N, H, W, C].
    """
    if writing.weight_bits(node) < 8:
        _write_fully_connected(node, writing)
        return
    attrs, shape = node.attrs, writing.graph.param(node, "weight").shape
    word = padding_word(writing.graph, node)
    assert word is not None, f"{node.name}: express_padding must run before writing"
    common = {
        "padding": word,
        "strideH": attrs["stride"][0],
        "strideW": attrs["stride"][1],
        "dilationHFactor": attrs["dilation"][0],
        "dilationWFactor": attrs["dilation"][1],
        "fusedActivationFunction": activation_word(node),
    }
    depthwise = shape[1] == 1 and attrs["groups"] > 1
    order, axis = ((1, 2, 3, 0), 3) if depthwise else ((0, 2, 3, 1), 0)
    inputs = [
        *writing.inputs(node),
        writing.weight(node, order, axis),
        writing.bias(node, shape[0]),
    ]
    if depthwise:
        multiplier = shape[0] // attrs["groups"]
        made = writing.build.options("DepthwiseConv2DOptions", depthMultiplier=multiplier, **common)
        word, version = "DEPTHWISE_CONV_2D", 3
    else:
        made = writing.build.options("Conv2DOptions", **common)
        word, version = "CONV_2D", 3 if attrs["groups"] == 1 else 6
    writing.build.operator(word, inputs, [writing.output(node)], version=version, options=made)


@tflite_op("linear")
def write_linear(node: Node, writing: Writing) -> None:
    """FULLY_CONNECTED over the last axis."""
    if len(node.shape) == 4:
        raise writing.refuse(
            node, "a linear layer on four axes", "Use a 1x1 convolution, or flatten before it"
        )
    _write_fully_connected(node, writing)


def _write_fully_connected(node: Node, writing: Writing) -> None:
    made = writing.build.options(
        "FullyConnectedOptions",
        fusedActivationFunction=activation_word(node),
        keepNumDims=len(node.shape) > 2,
    )
    channels, bits = writing.graph.param(node, "weight").shape[0], writing.weight_bits(node)
    is_packed = bits in PACKED_BITS
    weight = writing.packed_weight(node) if is_packed else writing.weight(node, (0, 1), 0)
    inputs = [*writing.inputs(node), weight, writing.bias(node, channels)]
    version = PACKED_VERSIONS[bits] if is_packed else 9
    output = [writing.output(node)]
    writing.build.operator("FULLY_CONNECTED", inputs, output, version=version, options=made)


@tflite_op("conv_transpose2d")
def write_conv_transpose2d(node: Node, writing: Writing) -> None:
    """TRANSPOSE_CONV, weight [C_out, kH, kW, C_in]."""
    word = transposed_padding_word(writing.graph, node)
    attrs = node.attrs
    if word is None or attrs["groups"] != 1 or attrs["dilation"] != (1, 1):
        raise writing.refuse(
            node,
            "a transposed convolution with dilation, or with an output beyond what it scatters",
            "Use dilation=1 and output_padding=0, or resize and convolve",
        )
    made = writing.build.options(
        "TransposeConvOptions",
        padding=word,
        strideH=attrs["stride"][0],
        strideW=attrs["stride"][1],
        fusedActivationFunction=activation_word(node),
    )
    shape = writing.integers(f"{node.name}.shape", list(file_shape(node.shape)))
    weight = writing.weight(node, (1, 2, 3, 0), 0)
    bias = writing.bias(node, node.channels)
    inputs = [shape, weight, *writing.inputs(node), bias]
    output = [writing.output(node)]
    version = 3 if activation_word(node) == "NONE" else 4
    writing.build.operator("TRANSPOSE_CONV", inputs, output, version=version, options=made)
