"""Integer activation functions: tables of 256 entries, and leaky ReLU.

SIGMOID and TANH, for every integer q of the input's grid:
    x = f32(f32(q - z_x) s_x), y = f32(function(x))
    xnnpack    q_y = rint(f32(f32(y f32(1 / s_y)) + z_y))    x86-64; ARM fuses the multiply-add, and
                                                             scales are chosen so that both agree
    reference  q_y = round_away(f32(y f32(1 / s_y))) + z_y   sigmoid in float32: 1 / (1 + exp(-x))
LEAKY_RELU, with d = q_x - z_x and r = f32(s_x / s_y):
    xnnpack    m = rint(256 r) where d >= 0, rint(256 f32(r slope)) below
               q_y = ((d m + 128) >> 8) + z_y
    reference  double_rounding(d, r) + z_y where d >= 0
               sign(slope) double_rounding(d, |f32(f32(s_x slope) / s_y)|) + z_y below

Kernels: XNNPACK's x8-lut, made by its reference unary ops, and qs8-vlrelu; LiteRT's activations.cc;
ai-edge-litert 2.3.0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from intaglio.ir.graph import Node
from intaglio.numerics.requantize import double_rounding, fixed_point_multiplier
from intaglio.numerics.spec import QuantParams, QuantSpec, per_tensor
from intaglio.runtimes.litert.format.layout import file_axis, file_shape
from intaglio.runtimes.litert.ops.site import LitertSite, integer_kernel
from intaglio.runtimes.litert.ops.writing import Writing, tflite_op, transpose
from intaglio.targets.site import Kernel, as_float, centered_range, refuse_beyond_float32

Reals = npt.NDArray[np.float32]
LEAKY_RATIO_LIMITS = (2.0**-8, 2.0**7)
"""Smallest and largest multiplier of XNNPACK's leaky ReLU; negative ones end 1/256 before."""
SIGMOID_ENDS = 100.0
"""XNNPACK's sigmoid is 0 or 1 beyond this."""
PRESCRIBED = {"sigmoid": per_tensor(1 / 256, -128), "tanh": per_tensor(1 / 128, 0)}
"""Grids of results, at 8 bits: the reference kernels insist on them."""


def prescribed(op: str, spec: QuantSpec) -> QuantParams | None:
    """Return the grid that is prescribed for the result of `op`; None: it is free.

    As much coarser as there are fewer bits, in simulated schemes.
    """
    if op not in PRESCRIBED:
        return None
    grid, fewer = PRESCRIBED[op], PRESCRIBED[op].spec.bits - spec.bits
    return per_tensor(float(grid.step) * 2**fewer, grid.zero >> fewer, spec)


@integer_kernel("sigmoid")
def prepare_sigmoid(site: LitertSite) -> Kernel:
    """1 / (1 + exp(-x))."""
    return _prepare_table(site, reference_sigmoid if site.is_reference else xnnpack_sigmoid)


@integer_kernel("tanh")
def prepare_tanh(site: LitertSite) -> Kernel:
    """The hyperbolic tangent."""
    return _prepare_table(site, float32_tanh)


def _prepare_table(site: LitertSite, function: Callable[[Reals], Reals]) -> Kernel:
    output = site.output
    refuse_beyond_float32(site, _inverse(output))
    reals = function(table_arguments(site.inputs[0]))
    if not site.is_reference:
        bounds = centered_range(output)
        return look_up(site.inputs[0], xnnpack_steps(reals, output) - output.zero, bounds)
    _require_prescribed(site)
    steps = (reals * _inverse(output)).astype(np.float64)
    rounded = np.sign(steps) * np.floor(np.abs(steps) + 0.5)
    return look_up(site.inputs[0], rounded, centered_range(output))


def look_up(x: QuantParams, results: npt.NDArray[Any], bounds: tuple[int, int]) -> Kernel:
    """Return the kernel that replaces each integer of a grid, in order, by its (clamped) result.

    Args:
        x: The grid of the input.
        results: One centered integer for each integer of `x`, in order.
        bounds: Lowest and highest centered integer of the output.
    """
    table = torch.from_numpy(results.clip(*bounds).astype(np.float32))
    low = centered_range(x)[0]
    return lambda inputs: table[(inputs[0] - low).to(torch.int32)]


def table_arguments(x: QuantParams) -> Reals:
    """Return the float32 real of every integer of a grid, in order, as the kernels compute it."""
    low, high = centered_range(x)
    return np.arange(low, high + 1, dtype=np.float32) * x.step


def xnnpack_sigmoid(x: Reals) -> Reals:
    """Return e / (1 + e), e = exp(x) in float64, rounded to float32; 0 and 1 beyond +-100."""
    return float64_sigmoid(x).astype(np.float32)


def float64_sigmoid(x: Reals) -> npt.NDArray[np.float64]:
    """Return XNNPACK's sigmoid before its last rounding."""
    exponential = np.exp(x.astype(np.float64).clip(-SIGMOID_ENDS, SIGMOID_ENDS))
    y: npt.NDArray[np.float64] = exponential / (1.0 + exponential)
    return np.where(x > SIGMOID_ENDS, 1.0, np.where(x < -SIGMOID_ENDS, 0.0, y))


def reference_sigmoid(x: Reals) -> Reals:
    """Return 1 / (1 + exp(-x)) in float32, every step rounded."""
    with np.errstate(over="ignore"):
        exponential = np.exp(-x.astype(np.float64)).astype(np.float32)
    return np.float32(1) / (np.float32(1) + exponential)


def float32_tanh(x: Reals) -> Reals:
    """Return tanh(x), computed in float64 and rounded to float32."""
    return np.tanh(x.astype(np.float64)).astype(np.float32)


def xnnpack_steps(reals: Reals, output: QuantParams) -> Reals:
    """Return the integers of a table, zero point included, not clamped, as x86-64 computes them."""
    integers: Reals = np.rint(reals * _inverse(output) + np.float32(output.zero))
    return integers


def _inverse(output: QuantParams) -> np.float32:
    return np.float32(np.float32(1) / output.step)


def _require_prescribed(site: LitertSite) -> None:
    wanted = prescribed(site.node.op, site.output.spec)
    if wanted is None or (site.output.step, site.output.zero) == (wanted.step, wanted.zero):
        return
    raise site.refuse(
        f"its result is on the grid of other values, and the kernel insists on scale"
        f" {wanted.step:g} and zero point {wanted.zero}",
        "Keep its result out of concatenations, slices and pools",
    )


@integer_kernel("leaky_relu")
def prepare_leaky_relu(site: LitertSite) -> Kernel:
    """x where x >= 0, slope * x below."""
    low, high = (
        bound - site.output.zero for bound in (site.output.spec.qmin, site.output.spec.qmax)
    )
    ratio, slope = site.inputs[0].step / site.output.step, np.float32(site.node.attrs["slope"])
    if site.is_reference:
        scaled = np.float32(np.float32(site.inputs[0].step * slope) / site.output.step)
        refuse_beyond_float32(site, ratio, scaled)
        above = fixed_point_multiplier(float(ratio))
        below, sign = fixed_point_multiplier(abs(float(scaled))), int(np.sign(slope))

        def reference(inputs: Sequence[Tensor]) -> Tensor:
            """Return d r, or d r slope below zero, doubly rounded in integers and clamped."""
            x = inputs[0].to(torch.int64)
            negative = sign * double_rounding(x, *below)
            return as_float(
                torch.where(x >= 0, double_rounding(x, *above), negative).clamp_(low, high)
            )

        return reference
    _refuse_leaky_ratios(site, float(ratio), float(np.float32(ratio * slope)))
    first = float(np.rint(np.float32(256) * ratio))
    second = float(np.rint(np.float32(256) * np.float32(ratio * slope)))

    def xnnpack(inputs: Sequence[Tensor]) -> Tensor:
        """Return (d m + 128) >> 8, with the multiplier m of d's sign, clamped."""
        # |d m + 128| < 2**24 and a division by 256 is exact: floor is the arithmetic shift
        x = inputs[0]
        product = torch.where(x >= 0, x * first, x * second)
        return product.add_(128.0).div_(256.0).floor_().clamp_(low, high)

    return xnnpack


def _refuse_leaky_ratios(site: LitertSite, above: float, below: float) -> None:
    low, high = LEAKY_RATIO_LIMITS
    if low <= above <= high and (low <= below <= high or low - high <= below <= -low):
        return
    raise site.refuse(
        f"its multipliers are {above:.3g} above zero and {below:.3g} below, outside"
        f" [{low:.3g}, {high:g}] that the kernel takes",
        "Use a negative_slope of at least 0.01, or a ReLU where it is smaller",
    )


@tflite_op("sigmoid")
def write_sigmoid(node: Node, writing: Writing) -> None:
    """LOGISTIC."""
    inputs, output = writing.inputs(node), [writing.output(node)]
    writing.build.operator("LOGISTIC", inputs, output, version=2)


@tflite_op("tanh")
def write_tanh(node: Node, writing: Writing) -> None:
    """TANH."""
    inputs, output = writing.inputs(node), [writing.output(node)]
    writing.build.operator("TANH", inputs, output, version=2)


@tflite_op("leaky_relu")
def write_leaky_relu(node: Node, writing: Writing) -> None:
    """LEAKY_RELU."""
    made = writing.build.options("LeakyReluOptions", alpha=node.attrs["slope"])
    inputs, output = writing.inputs(node), [writing.output(node)]
    writing.build.operator("LEAKY_RELU", inputs, output, version=2, options=made)


@tflite_op("softmax")
def write_softmax(node: Node, writing: Writing) -> None:
    """SOFTMAX in float32, between transposes where its axis is not the last of the file's."""
    writing.refuse_integers(node)
    shape, chosen = file_shape(node.shape), writing.build.options("SoftmaxOptions", beta=1.0)
    axis, last = file_axis(node.attrs["axis"], len(shape)), len(shape) - 1
    inputs = writing.inputs(node)
    if axis == last:
        output = [writing.output(node)]
        writing.build.operator("SOFTMAX", inputs, output, version=1, options=chosen)
        return
    order = list(range(len(shape)))
    order[axis], order[last] = last, axis  # to exchange two axes is its own inverse
    turned = tuple(shape[each] for each in order)
    before, behind = (writing.scratch(node, word, turned) for word in ("before", "behind"))
    transpose(writing, inputs[0], before, tuple(order), f"{node.name}.before")
    writing.build.operator("SOFTMAX", [before], [behind], version=1, options=chosen)
    transpose(writing, behind, writing.output(node), tuple(order), f"{node.name}.behind")
