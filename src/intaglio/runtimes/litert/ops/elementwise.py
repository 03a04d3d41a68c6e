"""Integer ADD, SUB, MUL, and the multiplications by one that relabel or clamp a value.

ADD and SUB, xnnpack (x86-64 and ARM alike):
    r_a = f32(s_a / s_y), r_b = f32(s_b / s_y), h = 20 - floor(log2(max(r_a, r_b)))
    m_a = rint(r_a 2^h), m_b = +-rint(r_b 2^h)
    q_y = ((2^(h-1) + (q_a - z_a) m_a + (q_b - z_b) m_b) >> h) + z_y
MUL: F = f32(f32(s_a s_b) / s_y); q_y = rint(f32(p) F) + z_y on x86-64; on ARM the same product in
integers, half up; and XNNPACK turns some products of a value with itself into a table of squares.
Scales are chosen so that all of them agree (runtimes/litert/scales/nudge.py).
Reference: gemmlowp's double rounding (kernels.md, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from intaglio.ir.graph import Node
from intaglio.numerics.requantize import (
    double_rounding,
    fixed_point_multiplier,
    float32_requantize,
)
from intaglio.numerics.spec import QuantParams, per_tensor
from intaglio.runtimes.litert.ops.site import LitertSite, activation_bounds, integer_kernel
from intaglio.runtimes.litert.ops.writing import Writing, activation_word, tflite_op
from intaglio.targets.site import Kernel, as_float

SUM_RATIO_LIMITS = {"xnnpack": (2.0**-10, 2.0**8), "reference": (0.0, 2.0**18)}
"""By arithmetic: lowest s_operand / s_y that the kernel takes, and the lowest that is too large."""
PRODUCT_LIMITS = {"xnnpack": (2.0**-16, 2.0**8), "reference": (0.0, 2.0**15)}
"""The same for s_a s_b / s_y; beyond 2**15 the reference kernel's 32-bit shift overflows."""


@integer_kernel("add")
def prepare_add(site: LitertSite) -> Kernel:
    """a + b."""
    return _prepare_sum(site, 1)


@integer_kernel("sub")
def prepare_sub(site: LitertSite) -> Kernel:
    """a - b."""
    return _prepare_sum(site, -1)


def _prepare_sum(site: LitertSite, sign: int) -> Kernel:
    bounds = activation_bounds(site)
    _refuse_ratios(site)
    if site.is_reference:
        return _reference_sum(site, sign, bounds)
    ratio_a, ratio_b = (params.step / site.output.step for params in site.inputs)
    shift = 21 - math.frexp(max(ratio_a, ratio_b))[1]
    first = int(np.rint(np.float64(ratio_a) * 2.0**shift))
    second = sign * int(np.rint(np.float64(ratio_b) * 2.0**shift))
    half = 1 << (shift - 1)

    def xnnpack(inputs: Sequence[Tensor]) -> Tensor:
        """Return (2^(h-1) + d_a m_a + d_b m_b) >> h, clamped."""
        # |q - z| <= 255 and multipliers < 2^21: the sum stays below 2^31
        total = inputs[0].to(torch.int32).mul_(first)
        total = total + inputs[1].to(torch.int32).mul_(second)
        return as_float(total.add_(half).bitwise_right_shift_(shift).clamp_(*bounds))

    return xnnpack


def _reference_sum(site: LitertSite, sign: int, bounds: tuple[int, int]) -> Kernel:
    scale_a, scale_b = (float(params.step) for params in site.inputs)
    twice = 2.0 * max(scale_a, scale_b)
    first = fixed_point_multiplier(scale_a / twice)
    second = fixed_point_multiplier(scale_b / twice)
    output = fixed_point_multiplier(twice / (2.0**20 * float(site.output.step)))

    def reference(inputs: Sequence[Tensor]) -> Tensor:
        """Return a +- b with 20 bits more in between, doubly rounded and clamped."""
        a = double_rounding(inputs[0].to(torch.int64) << 20, *first)
        b = double_rounding(inputs[1].to(torch.int64) << 20, *second)
        return as_float(double_rounding(a + sign * b, *output).clamp_(*bounds))

    return reference


def _refuse_ratios(site: LitertSite) -> None:
    low, high = SUM_RATIO_LIMITS[site.arithmetic]
    for params in site.inputs:
        ratio = float(params.step / site.output.step)
        if not low <= ratio < high:
            raise site.refuse(
                f"its operand's scale is {ratio:.3g} times its result's, outside"
                f" [{low:.3g}, {high:g}) that the kernel takes",
                "Scale its operands so that their ranges are less far apart",
            )


@integer_kernel("mul")
def prepare_mul(site: LitertSite) -> Kernel:
    """a * b."""
    return _prepare_product(site, mul_multiplier(site.inputs[0], site.inputs[1], site.output))


@integer_kernel("rescale")
def prepare_rescale(site: LitertSite) -> Kernel:
    """factor * x, written as MUL by the integer 1 with scale `factor`."""
    one = unit_constant(site.node.attrs["factor"])
    product = _prepare_product(site, mul_multiplier(site.inputs[0], one, site.output))
    return lambda inputs: product((inputs[0], torch.ones(())))


@integer_kernel("clamp")
def prepare_clamp(site: LitertSite) -> Kernel:
    """Clamp and requantize, written as MUL by the integer 1 with scale 1 and a fused activation."""
    product = _prepare_product(
        site, mul_multiplier(site.inputs[0], unit_constant(1.0), site.output)
    )
    return lambda inputs: product((inputs[0], torch.ones(())))


def unit_constant(factor: float) -> QuantParams:
    """Return the grid on which the integer 1 means `factor`."""
    return per_tensor(factor, 0)


def mul_multiplier(first: QuantParams, second: QuantParams, output: QuantParams) -> np.float32:
    """Return F = f32(f32(s_a * s_b) / s_y)."""
    return np.float32(np.float32(first.step * second.step) / output.step)


def _prepare_product(site: LitertSite, multiplier: np.float32) -> Kernel:
    bounds = activation_bounds(site)
    _refuse_multiplier(site, multiplier)
    if site.is_reference:
        mantissa, exponent = fixed_point_multiplier(float(multiplier))

        def reference(inputs: Sequence[Tensor]) -> Tensor:
            """Return p F, doubly rounded in integers and clamped."""
            product = (inputs[0] * inputs[1]).to(torch.int64)
            return as_float(double_rounding(product, mantissa, exponent).clamp_(*bounds))

        return reference
    factor = float(multiplier)

    def xnnpack(inputs: Sequence[Tensor]) -> Tensor:
        """Return rint(f32(p) F), clamped."""
        # |p| <= 255 * 255 is exact in float32
        return float32_requantize(inputs[0] * inputs[1], factor).clamp_(*bounds)

    return xnnpack


def _refuse_multiplier(site: LitertSite, multiplier: np.float32) -> None:
    low, high = PRODUCT_LIMITS[site.arithmetic]
    if not low <= multiplier < high:
        raise site.refuse(
            f"its multiplier s_a s_b / s_y is {multiplier:.3g}, outside [{low:.3g}, {high:g}) that"
            " the kernel takes",
            "Scale its operands so that their product's range is less far from theirs",
        )


@tflite_op("add")
def write_add(node: Node, writing: Writing) -> None:
    """ADD."""
    _binary("ADD", "AddOptions", node, writing, writing.inputs(node))


@tflite_op("sub")
def write_sub(node: Node, writing: Writing) -> None:
    """SUB."""
    _binary("SUB", "SubOptions", node, writing, writing.inputs(node))


@tflite_op("mul")
def write_mul(node: Node, writing: Writing) -> None:
    """MUL."""
    _binary("MUL", "MulOptions", node, writing, writing.inputs(node))


@tflite_op("div")
def write_div(node: Node, writing: Writing) -> None:
    """DIV, in float32."""
    writing.refuse_integers(node)
    _binary("DIV", "DivOptions", node, writing, writing.inputs(node))


@tflite_op("rescale")
def write_rescale(node: Node, writing: Writing) -> None:
    """MUL by the integer 1 with scale `factor`."""
    _multiply_by_unit(node, writing, node.attrs["factor"])


@tflite_op("clamp")
def write_clamp(node: Node, writing: Writing) -> None:
    """MUL by the integer 1 with scale 1 and a fused activation: RELU alone is not delegated."""
    _multiply_by_unit(node, writing, 1.0)


def _multiply_by_unit(node: Node, writing: Writing, factor: float) -> None:
    shape = (1,) * len(node.shape)
    if writing.is_float(node.name):
        index = writing.build.stored(f"{node.name}.unit", np.full(shape, factor, np.float32))
    else:
        one = np.ones(shape, np.int8)
        index = writing.build.stored(f"{node.name}.unit", one, unit_constant(factor))
    _binary("MUL", "MulOptions", node, writing, [*writing.inputs(node), index])


def _binary(word: str, kind: str, node: Node, writing: Writing, inputs: list[int]) -> None:
    if any(len(writing.graph[name].shape) != len(node.shape) for name in node.inputs):
        raise writing.refuse(
            node,
            "operands with different numbers of axes",
            "Give both the same number with reshape or unsqueeze",
        )
    made = writing.build.options(kind, fusedActivationFunction=activation_word(node))
    output = [writing.output(node)]
    writing.build.operator(word, inputs, output, version=2, options=made)
