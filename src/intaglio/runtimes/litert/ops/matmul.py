"""Integer products of two values: BATCH_MATMUL.

    accumulator = sum (q_a - z_a) q_b                                             exact int32
    xnnpack     q_y = rint(f32(accumulator) * f32(f32(s_a s_b) / s_y)) + z_y      half to even
    reference   q_y = double_rounding(accumulator, s_a s_b / s_y) + z_y

The second factor takes the place of a layer's weight: the delegate takes the op only where its zero
point is 0, and the grid of it is chosen so (runtimes/litert/scales/center_factors.py). Where it is
-128 some processors' sums overflow, and it never is (runtimes/litert/lower/guard_factors.py).

Kernels: XNNPACK's batch matrix multiplication on qs8-qc8w gemm; LiteRT's reference batch_matmul.h;
ai-edge-litert 2.3.0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from intaglio.ir.graph import BATCH, Node
from intaglio.numerics.accumulate import FLOAT32_EXACT
from intaglio.numerics.requantize import (
    double_rounding,
    fixed_point_multiplier,
    float32_requantize,
)
from intaglio.runtimes.litert.format.layout import TO_NCHW, TO_NHWC, needs_transpose
from intaglio.runtimes.litert.ops.elementwise import mul_multiplier
from intaglio.runtimes.litert.ops.site import LitertSite, integer_kernel
from intaglio.runtimes.litert.ops.writing import Writing, reshape, tflite_op, transpose
from intaglio.targets.site import Kernel, as_float, centered_range

INT32_END = 2**31
MULTIPLIER_LIMIT = 256.0
"""Of s_a s_b / s_y, as for layers with weights."""


@integer_kernel("matmul")
def prepare_matmul(site: LitertSite) -> Kernel:
    """a b, or a b^T."""
    a, b, y = *site.inputs, site.output
    if b.zero != 0:
        raise site.refuse("the zero point of its second factor is not 0", "Report this")
    largest = _largest_sum(site)
    multiplier = float(mul_multiplier(a, b, y))
    real = float(a.step) * float(b.step) / float(y.step)
    mantissa, exponent = fixed_point_multiplier(real) if real < MULTIPLIER_LIMIT else (0, 0)
    if multiplier >= MULTIPLIER_LIMIT or largest * 2.0 ** max(exponent, 0) >= INT32_END:
        raise site.refuse(
            f"its sums reach {largest} and its multiplier s_a s_b / s_y is {multiplier:.3g}: beyond"
            " the kernel's integers",
            "Scale its factors so that their product's range is less far from theirs",
        )
    bounds = centered_range(y)
    is_transposed = site.node.attrs["transposed"]
    exact = torch.float32 if largest < FLOAT32_EXACT else torch.float64

    def kernel(inputs: Sequence[Tensor]) -> Tensor:
        """Return the sums of products times s_a s_b / s_y, rounded and clamped."""
        first, second = (value.to(exact) for value in inputs)
        total = first @ (second.transpose(-2, -1) if is_transposed else second)
        if site.is_reference:
            total = total.to(torch.int64)
            return as_float(double_rounding(total, mantissa, exponent).clamp_(*bounds))
        return float32_requantize(total.float(), multiplier).clamp_(*bounds)

    return kernel


def _largest_sum(site: LitertSite) -> int:
    a, b = (max(abs(end) for end in centered_range(grid)) for grid in site.inputs)
    return a * b * site.input_shapes[0][-1]


@tflite_op("matmul")
def write_matmul(node: Node, writing: Writing) -> None:
    """BATCH_MATMUL; values with four axes are turned to the graph's order of axes, and back.

    Lowering leaves none with four (lower/lift_matmul.py) but in graphs that it has not seen.
    """
    sources = [
        _in_order(writing, node, name, index)
        for name, index in zip(node.inputs, writing.inputs(node), strict=True)
    ]
    made = writing.build.options(
        "BatchMatMulOptions", adjX=False, adjY=bool(node.attrs["transposed"])
    )
    if len(node.shape) != 4:
        output = [writing.output(node)]
        writing.build.operator("BATCH_MATMUL", sources, output, version=2, options=made)
        return
    product = writing.scratch(node, "nchw", _sizes(node.shape))
    writing.build.operator("BATCH_MATMUL", sources, [product], version=2, options=made)
    if needs_transpose(node.shape):
        transpose(writing, product, writing.output(node), TO_NHWC, f"{node.name}.nhwc")
    else:
        reshape(writing, product, writing.output(node), f"{node.name}.nhwc")


def _in_order(writing: Writing, node: Node, name: str, index: int) -> int:
    """Return a tensor with the axes of a factor in the graph's order."""
    shape = writing.graph[name].shape
    if len(shape) != 4:
        return index
    place = f"{node.name}.{node.inputs.index(name)}"
    if writing.is_float(node.name):
        made = writing.build.tensor(place, _sizes(shape), "float32")
    else:
        made = writing.build.tensor(place, _sizes(shape), "int8", writing.grid(name))
    transpose(writing, index, made, TO_NCHW, place)
    return made


def _sizes(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if size == BATCH else size for size in shape)
