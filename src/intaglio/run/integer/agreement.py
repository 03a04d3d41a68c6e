"""Whether XNNPACK gives the same bits on x86-64 and on ARM for one op with given scales.

Each function goes through every reachable integer and compares the two formulas of kernels.md,
section 3. True means: no input exists on which they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from intaglio.ir.graph import Node
from intaglio.numerics.spec import QuantParams
from intaglio.registry import Registry
from intaglio.run.integer.elementwise import mul_multiplier, unit_constant
from intaglio.run.integer.pool import mean_constants
from intaglio.run.integer.site import centered_range

Integers = npt.NDArray[np.int64]
Agreement = Callable[[Sequence[QuantParams], QuantParams, int, Node], bool]
AGREEMENTS: Registry[Agreement] = Registry("agreement")
"""Op to (input grids, output grid, number of values in a mean, node) -> bool."""


@AGREEMENTS.register("mul")
def mul_agrees(inputs: Sequence[QuantParams], output: QuantParams, count: int, node: Node) -> bool:
    """MUL: one float32 product on x86-64; integers, half up, on ARM."""
    a, b = (np.arange(low, high + 1) for low, high in map(centered_range, inputs))
    products = np.unique(np.multiply.outer(a, b))
    return _products_agree(products, mul_multiplier(inputs[0], inputs[1], output), output)


@AGREEMENTS.register("clamp")
def clamp_agrees(
    inputs: Sequence[QuantParams], output: QuantParams, count: int, node: Node
) -> bool:
    """MUL by the integer 1 with scale 1."""
    return _unit_agrees(inputs[0], 1.0, output)


@AGREEMENTS.register("rescale")
def rescale_agrees(
    inputs: Sequence[QuantParams], output: QuantParams, count: int, node: Node
) -> bool:
    """MUL by the integer 1 with scale `factor`."""
    return _unit_agrees(inputs[0], node.attrs["factor"], output)


def _unit_agrees(x: QuantParams, factor: float, output: QuantParams) -> bool:
    low, high = centered_range(x)
    multiplier = mul_multiplier(x, unit_constant(factor), output)
    return _products_agree(np.arange(low, high + 1), multiplier, output)


def _products_agree(products: Integers, multiplier: np.float32, output: QuantParams) -> bool:
    low, high = centered_range(output)
    on_x86 = np.rint(products.astype(np.float32) * multiplier).astype(np.int64)
    fraction, exponent = np.frexp(multiplier)
    mantissa, shift = int(np.float64(fraction) * 2**24), 24 - int(exponent)
    on_arm = (products.astype(np.int64) * mantissa + (1 << (shift - 1))) >> shift
    return bool(np.array_equal(on_x86.clip(low, high), on_arm.clip(low, high)))


@AGREEMENTS.register("mean")
def mean_agrees(inputs: Sequence[QuantParams], output: QuantParams, count: int, node: Node) -> bool:
    """MEAN: two roundings per multiply-add on x86-64, one on ARM."""
    x, spec = inputs[0], inputs[0].spec
    inverse, offset = mean_constants(x, output, count)
    sums = np.arange(count * spec.qmin, count * spec.qmax + 1).astype(np.float32)
    on_x86 = np.rint(sums * inverse + offset)
    wide = np.float64(inverse)
    offsets = _fused(-np.float64(np.float32(count * x.zero)) * wide, np.float64(output.zero))
    low, high = output.spec.qmin, output.spec.qmax
    expected = on_x86.clip(low, high)
    return all(
        np.array_equal(expected, np.rint(total).clip(low, high))
        for fused_offset in offsets
        for total in _fused(sums.astype(np.float64) * wide, np.float64(fused_offset))
    )


def _fused(
    product: npt.NDArray[np.float64] | np.float64, addend: np.float64
) -> tuple[npt.NDArray[np.float32] | np.float32, npt.NDArray[np.float32] | np.float32]:
    """Return the two float32 values between which the fused multiply-add lies; mostly they are equal.

    float64 holds a product of two float32 exactly. The sum may be rounded once there, so its float64
    neighbours bound the exact value, and their float32 roundings bound the fused result.
    """
    total = product + addend
    return (
        np.float32(1) * np.nextafter(total, -np.inf).astype(np.float32),
        np.float32(1) * np.nextafter(total, np.inf).astype(np.float32),
    )
