"""Whether XNNPACK gives the same bits on x86-64 and on ARM for one op with given scales.

Each function compares the two formulas of an op on every reachable integer, or on so many that the
rest follows. True means: no input exists on which they differ. What the kernels refuse on any
processor (multipliers beyond their limits, too many values in a mean) counts as agreement.

    MUL              one float32 product on x86-64; integers, half up, on ARM
    x * x            the same two, and a table of squares, which XNNPACK takes in some graphs
    MEAN             two roundings per multiply-add on x86-64, one on ARM
    SIGMOID, TANH    the same; besides, libraries' functions differ in their last bits
    function         ELU as those; EXP and GELU by the last bits of libraries alone
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from intaglio.ir.graph import Node
from intaglio.numerics.accumulate import FLOAT32_EXACT
from intaglio.numerics.fused import fused_multiply_add
from intaglio.numerics.spec import QuantParams
from intaglio.registry import Registry
from intaglio.runtimes.litert.ops.activation import (
    Reals,
    float32_tanh,
    float64_sigmoid,
    table_arguments,
    xnnpack_steps,
)
from intaglio.runtimes.litert.ops.elementwise import PRODUCT_LIMITS, mul_multiplier, unit_constant
from intaglio.runtimes.litert.ops.function import is_certain, wished_form
from intaglio.runtimes.litert.ops.pool import mean_constants
from intaglio.targets.site import centered_range

Integers = npt.NDArray[np.int64]
Wide = npt.NDArray[np.float64]
Agreement = Callable[[Sequence[QuantParams], QuantParams, int, Node], bool]
AGREEMENTS: Registry[Agreement] = Registry("agreement")
"""Op to (input grids, output grid, number of values in a mean, node) -> bool."""

FLOAT32_ULPS = 2
"""How far a library's float32 tanh may be from the correctly rounded one."""
FLOAT64_ERROR = 2.0**-48
"""Relative error allowed to XNNPACK's sigmoid, which is computed in float64."""
LIBRARY = frozenset({"function"})
"""Ops whose built-in kernels, too, call the functions of a processor's library. They have another
form, which is chosen where no scale is found (ops/function.py)."""
SEARCHED = 16
"""Sums looked at on each side of a step of a mean, at least."""


@AGREEMENTS.register("mul")
def mul_agrees(inputs: Sequence[QuantParams], output: QuantParams, count: int, node: Node) -> bool:
    """MUL, of two values or of a value with itself."""
    multiplier = mul_multiplier(inputs[0], inputs[1], output)
    if node.inputs[0] != node.inputs[1]:
        products = _reachable_products(*map(centered_range, inputs))
        return _products_agree(products, multiplier, output)
    low, high = centered_range(inputs[0])
    products = np.arange(low, high + 1) ** 2
    reals = table_arguments(inputs[0])
    on_x86 = _on_x86(products, multiplier, output)
    table = xnnpack_steps(reals * reals, output) - output.zero
    return (
        _products_agree(products, multiplier, output)
        and np.array_equal(on_x86, table.clip(*centered_range(output)))
        and _table_agrees(reals * reals, output)
    )


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


@functools.lru_cache(maxsize=64)
def _reachable_products(first: tuple[int, int], second: tuple[int, int]) -> Integers:
    a, b = (np.arange(low, high + 1) for low, high in (first, second))
    products = np.multiply.outer(a, b)
    least = products.min()
    reached = np.zeros(products.max() - least + 1, bool)  # sorting takes ten times as long
    reached[products - least] = True
    numbers: Integers = np.flatnonzero(reached) + least
    return numbers


def _on_x86(products: Integers, multiplier: np.float32, output: QuantParams) -> Integers:
    rounded: Reals = np.rint(products.astype(np.float32) * multiplier)
    return rounded.clip(*centered_range(output)).astype(np.int64)


def _products_agree(products: Integers, multiplier: np.float32, output: QuantParams) -> bool:
    least, most = PRODUCT_LIMITS["xnnpack"]
    if not least <= multiplier < most:
        return True
    fraction, exponent = np.frexp(multiplier)
    mantissa, shift = int(np.float64(fraction) * 2**24), 24 - int(exponent)
    on_arm = (products.astype(np.int64) * mantissa + (1 << (shift - 1))) >> shift
    on_x86 = _on_x86(products, multiplier, output)
    return bool(np.array_equal(on_x86, on_arm.clip(*centered_range(output))))


@AGREEMENTS.register("sigmoid")
def sigmoid_agrees(
    inputs: Sequence[QuantParams], output: QuantParams, count: int, node: Node
) -> bool:
    """LOGISTIC, whatever a library's float64 exp gives in its last bits."""
    exact = float64_sigmoid(table_arguments(inputs[0]))
    reals = (exact * (1.0 + error) for error in (0.0, -FLOAT64_ERROR, FLOAT64_ERROR))
    return _function_agrees([values.astype(np.float32) for values in reals], output)


@AGREEMENTS.register("tanh")
def tanh_agrees(inputs: Sequence[QuantParams], output: QuantParams, count: int, node: Node) -> bool:
    """TANH, whatever a library's float32 tanh gives in its last bits."""
    reals = float32_tanh(table_arguments(inputs[0]))
    lower, upper = reals, reals
    for _ in range(FLOAT32_ULPS):
        lower, upper = np.nextafter(lower, -np.inf), np.nextafter(upper, np.inf)
    # tanh(0) is 0 in every library
    moved = [np.where(reals == 0, reals, values) for values in (lower, upper)]
    return _function_agrees([reals, *moved], output)


def _function_agrees(candidates: Sequence[Reals], output: QuantParams) -> bool:
    """Whether all candidates for a function's values give one table, on both processors."""
    bounds = output.spec.qmin, output.spec.qmax
    wanted = xnnpack_steps(candidates[0], output).clip(*bounds)
    return all(
        np.array_equal(wanted, xnnpack_steps(values, output).clip(*bounds))
        and _table_agrees(values, output)
        for values in candidates
    )


def _table_agrees(reals: Reals, output: QuantParams) -> bool:
    """Whether fusing y * (1 / s) + z changes no entry."""
    bounds = output.spec.qmin, output.spec.qmax
    inverse = np.float32(np.float32(1) / output.step)
    on_x86 = xnnpack_steps(reals, output).clip(*bounds)
    return all(
        np.array_equal(on_x86, np.rint(total).clip(*bounds))
        for total in fused_multiply_add(reals, inverse, np.float32(output.zero))
    )


@AGREEMENTS.register("function")
def function_agrees(
    inputs: Sequence[QuantParams], output: QuantParams, count: int, node: Node
) -> bool:
    """A table that the runtime makes; where it is not certain, it can be stored as well."""
    form = wished_form(node.attrs["chain"], inputs[0])
    return is_certain(form, node.attrs["chain"], inputs[0], output)


@AGREEMENTS.register("mean")
def mean_agrees(inputs: Sequence[QuantParams], output: QuantParams, count: int, node: Node) -> bool:
    """MEAN of `count` values."""
    x = inputs[0]
    if count * 255 >= FLOAT32_EXACT:
        return True
    with np.errstate(over="ignore", invalid="ignore"):
        inverse, offset = mean_constants(x, output, count)
    if not (np.isfinite(inverse) and np.isfinite(offset)):
        return False  # scales too far apart for float32, as nothing but a trained wish is
    low, high = output.spec.qmin, output.spec.qmax
    shifted = np.float32(count * x.zero)
    offsets = fused_multiply_add(shifted, np.float32(-inverse), np.float32(output.zero))

    def on_x86(sums: Wide) -> Reals:
        """Return the mean's integers as x86-64 computes them from raw sums."""
        rounded: Reals = np.rint(sums.astype(np.float32) * inverse + offset)
        return rounded.clip(low, high)

    def agree(sums: Wide) -> bool:
        """Whether fusing the multiply-adds changes no integer of these raw sums' means."""
        expected = on_x86(sums)
        return all(
            np.array_equal(expected, np.rint(total).clip(low, high))
            for fused_offset in offsets
            for total in fused_multiply_add(sums, inverse, np.float32(fused_offset))
        )

    near = _sums_near_steps(x, output, count, (float(inverse), float(offset)))
    if not agree(near):
        return False
    # both formulas are monotone: equal ends of a gap between sums looked at settle what lies in it
    values = on_x86(near)
    gaps = np.flatnonzero((values[1:] != values[:-1]) & (near[1:] - near[:-1] > 1))
    return all(agree(np.arange(near[gap], near[gap + 1] + 1)) for gap in gaps)


def _sums_near_steps(
    x: QuantParams, output: QuantParams, count: int, line: tuple[float, float]
) -> Wide:
    """Return the sums of `count` integers around the places where the mean's integer changes.

    They are in order, and the lowest and the highest sum are among them.
    """
    inverse, offset = line
    ends = count * x.spec.qmin, count * x.spec.qmax
    steps = np.arange(output.spec.qmin - 1, output.spec.qmax + 1) + 0.5
    radius = SEARCHED + 2.0**-15 / max(inverse, 2.0**-100)
    if 2 * radius * len(steps) > ends[1] - ends[0]:
        return np.arange(ends[0], ends[1] + 1, dtype=np.float64)
    window = np.arange(-np.ceil(radius), np.ceil(radius) + 1)
    sums = np.floor((steps - offset) / inverse)[:, None] + window
    return np.unique(np.append(sums.clip(*ends), ends))
