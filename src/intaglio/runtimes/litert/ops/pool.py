"""Integer MEAN, REDUCE_MAX, MAX_POOL_2D and AVERAGE_POOL_2D.

MEAN, with a the raw sum of n integers (no zero point removed):
    inv = f32(f32(s_x / s_y) * f32(1 / n)), t = f32(n z_x), zc = f32(z_y - f32(t inv))
    xnnpack    q_y = rint(f32(f32(f32(a) inv) + zc))      x86-64; ARM fuses the multiply-adds, and
                                                          scales are chosen so that both agree
    reference  (m, e) = multiplier of s_x / s_y; k = min(floor(log2 n), 32, 31 + e)
               q_y = double_rounding(a - n z_x, floor((m << k) / n), e - k) + z_y

AVERAGE_POOL_2D is in no delegate; the built-in kernel, the same on both targets and processors,
rounds the raw mean a / n half away from zero (reference_integer_ops::AveragePool).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.ir.graph import Node
from intaglio.numerics.accumulate import FLOAT32_EXACT
from intaglio.numerics.requantize import double_rounding, fixed_point_multiplier
from intaglio.numerics.spec import QuantParams
from intaglio.ops.padding import padding_word
from intaglio.runtimes.litert.format.layout import TO_NHWC, file_axis, file_shape
from intaglio.runtimes.litert.ops.shape import write_filled
from intaglio.runtimes.litert.ops.site import LitertSite, activation_bounds, integer_kernel
from intaglio.runtimes.litert.ops.writing import Writing, activation_word, tflite_op, transpose
from intaglio.targets.site import Kernel, as_float, refuse_beyond_float32, refuse_other_grid

UNEVEN_WINDOWS = (
    "an average pool whose windows are not all the same: padding or ceil_mode; or with a divisor of"
    " its own over a large window",
    "Use padding=0, ceil_mode=False and no divisor_override",
)
"""Reason and remedy, for the twin and for the writer."""


@integer_kernel("mean")
def prepare_mean(site: LitertSite) -> Kernel:
    """Mean over any axes but the batch."""
    axes, keepdim = site.node.attrs["axes"], site.node.attrs["keepdim"]
    count = math.prod(site.input_shapes[0][axis] for axis in axes)
    _refuse_long_sums(site, count)
    bounds = activation_bounds(site)
    x, y = site.inputs[0], site.output
    if site.is_reference:
        mantissa, exponent = fixed_point_multiplier(float(x.step) / float(y.step))
        shift = min(math.floor(math.log2(count)), 32, 31 + exponent)
        folded = (mantissa << shift) // count

        def reference(inputs: Sequence[Tensor]) -> Tensor:
            """Return the sum times s_x / (n s_y), doubly rounded in integers and clamped."""
            total = inputs[0].sum(axes, keepdim=keepdim).to(torch.int64)
            return as_float(double_rounding(total, folded, exponent - shift).clamp_(*bounds))

        return reference
    inverse, offset = mean_constants(x, y, count)
    refuse_beyond_float32(site, inverse, offset)
    raw = float(count * x.zero)

    def xnnpack(inputs: Sequence[Tensor]) -> Tensor:
        """Return rint(f32(f32(f32(a) inv) + zc)) - z_y, clamped."""
        total = inputs[0].sum(axes, keepdim=keepdim).add_(raw)
        rounded = total.mul_(float(inverse)).add_(float(offset)).round_()
        return rounded.sub_(y.zero).clamp_(*bounds)

    return xnnpack


def mean_constants(x: QuantParams, y: QuantParams, count: int) -> tuple[np.float32, np.float32]:
    """Return XNNPACK's (inv, zc) of a mean of `count` values, as x86-64 computes them."""
    inverse = np.float32(
        np.float32(x.step / y.step) * np.float32(np.float32(1.0) / np.float32(count))
    )
    shifted = np.float32(np.float32(count * x.zero) * inverse)
    return inverse, np.float32(np.float32(y.zero) - shifted)


@integer_kernel("max_pool2d")
def prepare_max_pool2d(site: LitertSite) -> Kernel:
    """Maximum over windows; input and output share one grid.

    The delegate leaves pools with gaps between their windows to the built-in kernel.
    """
    attrs = site.node.attrs
    top, bottom, left, right = attrs["padding"]
    refuse_other_grid(site)
    gaps = any(step > size for step, size in zip(attrs["stride"], attrs["kernel"], strict=True))
    bounds = activation_bounds(site, built_in=gaps)

    def kernel(inputs: Sequence[Tensor]) -> Tensor:
        """Return the largest integer of each window, clamped; padding is never the largest."""
        x = F.pad(inputs[0], (left, right, top, bottom), value=float("-inf"))
        y = F.max_pool2d(x, attrs["kernel"], attrs["stride"], 0, attrs["dilation"])
        return y.clamp_(*bounds)

    return kernel


@integer_kernel("reduce_max")
def prepare_reduce_max(site: LitertSite) -> Kernel:
    """Maximum over any axes but the batch; input and output share one grid."""
    axes, keepdim = site.node.attrs["axes"], site.node.attrs["keepdim"]
    refuse_other_grid(site)
    return lambda inputs: inputs[0].amax(axes, keepdim=keepdim)


@integer_kernel("avg_pool2d")
def prepare_avg_pool2d(site: LitertSite) -> Kernel:
    """Mean over whole windows; input and output share one grid.

    Small windows are convolutions already (runtimes/litert/lower/lower_shapes.py).
    """
    attrs = site.node.attrs
    if any(attrs["padding"]) or attrs["ceil_mode"] or attrs["divisor"] is not None:
        raise site.refuse(*UNEVEN_WINDOWS)
    refuse_other_grid(site)
    kernel_size, stride = attrs["kernel"], attrs["stride"]
    count, zero = math.prod(kernel_size), site.output.zero
    _refuse_long_sums(site, count)
    bounds = activation_bounds(site)

    def kernel(inputs: Sequence[Tensor]) -> Tensor:
        """Return the raw mean a / n of each window, half away from zero, centered and clamped."""
        total = F.avg_pool2d(inputs[0], kernel_size, stride, divisor_override=1)
        raw = total.to(torch.int64) + count * zero
        mean = raw.sign() * ((raw.abs() + count // 2) // count)
        return as_float((mean - zero).clamp_(*bounds))

    return kernel


def _refuse_long_sums(site: LitertSite, count: int) -> None:
    if count * 255 >= FLOAT32_EXACT:
        raise site.refuse(f"the mean of {count} values needs sums beyond 2^24", "Pool in two steps")


@tflite_op("mean")
def write_mean(node: Node, writing: Writing) -> None:
    """MEAN."""
    _reduce("MEAN", node, writing)


@tflite_op("reduce_max")
def write_reduce_max(node: Node, writing: Writing) -> None:
    """REDUCE_MAX."""
    _reduce("REDUCE_MAX", node, writing)


def _reduce(word: str, node: Node, writing: Writing) -> None:
    """Write it, and a TRANSPOSE where the file's axes that are left are not in the result's order.

    Without keeping dimensions, a mean over H leaves [N, W, C] of [N, H, W, C].
    """
    shape, keepdim = writing.graph[node.inputs[0]].shape, node.attrs["keepdim"]
    axes = sorted(file_axis(axis, len(shape)) for axis in node.attrs["axes"])
    order = None if keepdim else _order_after_mean(len(shape), node.attrs["axes"])
    index = writing.integers(f"{node.name}.axes", axes)
    made = writing.build.options("ReducerOptions", keepDims=keepdim)
    inputs = [*writing.inputs(node), index]
    if order is None:
        output = [writing.output(node)]
        writing.build.operator(word, inputs, output, version=2, options=made)
        return
    sizes = file_shape(shape)
    left = tuple(size for axis, size in enumerate(sizes) if axis not in axes)
    reduced = writing.scratch(node, "reduced", left)
    writing.build.operator(word, inputs, [reduced], version=2, options=made)
    transpose(writing, reduced, writing.output(node), order, node.name)


def _order_after_mean(rank: int, axes: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the order from what is left of a file's axes to the result's; None if it is the same.

    A mean over H leaves [N, W, C] of [N, H, W, C], where the graph has [N, C, W].
    """
    made = TO_NHWC if rank == 4 else tuple(range(rank))
    made = tuple(axis for axis in made if axis not in axes)
    wanted = tuple(axis for axis in range(rank) if axis not in axes)
    if len(wanted) == 4:
        wanted = tuple(wanted[axis] for axis in TO_NHWC)
    order = tuple(made.index(axis) for axis in wanted)
    return None if order == tuple(range(len(order))) else order


@tflite_op("max_pool2d")
def write_max_pool2d(node: Node, writing: Writing) -> None:
    """MAX_POOL_2D, behind CONCATENATION with the lowest integer where SAME cannot say its padding.

    A padded value is then never larger than one of the window's. Dilation along an axis on which
    the window has one pixel says nothing.
    """
    attrs, word = node.attrs, padding_word(writing.graph, node)
    axes = zip(attrs["dilation"], attrs["kernel"], strict=True)
    if any(rate > 1 and size > 1 for rate, size in axes) or attrs["ceil_mode"]:
        raise writing.refuse(node, "max pooling with dilation", "Use dilation=1")
    if word is not None:
        _write_pool(node, writing, "MAX_POOL_2D", word)
        return
    top, bottom, left, right = attrs["padding"]
    margins = {1: (top, bottom), 2: (left, right)}  # axes of the file
    margins = {axis: ends for axis, ends in margins.items() if any(ends)}
    padded = write_filled(node, writing, margins, float("-inf"))
    _write_pool(node, writing, "MAX_POOL_2D", "VALID", source=padded)


@tflite_op("avg_pool2d")
def write_avg_pool2d(node: Node, writing: Writing) -> None:
    """AVERAGE_POOL_2D, in a built-in kernel: the delegate does not take it in int8."""
    attrs = node.attrs
    if any(attrs["padding"]) or attrs["ceil_mode"] or attrs["divisor"] is not None:
        raise writing.refuse(node, *UNEVEN_WINDOWS)
    _write_pool(node, writing, "AVERAGE_POOL_2D", "VALID")


def _write_pool(
    node: Node, writing: Writing, operator: str, word: str, *, source: int | None = None
) -> None:
    attrs = node.attrs
    made = writing.build.options(
        "Pool2DOptions",
        padding=word,
        strideH=attrs["stride"][0],
        strideW=attrs["stride"][1],
        filterHeight=attrs["kernel"][0],
        filterWidth=attrs["kernel"][1],
        fusedActivationFunction=activation_word(node),
    )
    inputs = writing.inputs(node) if source is None else [source]
    output = [writing.output(node)]
    writing.build.operator(operator, inputs, output, version=2, options=made)
