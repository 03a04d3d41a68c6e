"""Whether two processors agree, against a second account of both that goes through everything."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from intaglio.ir.graph import Node
from intaglio.numerics.spec import QuantParams, per_tensor
from intaglio.runtimes.litert.ops.activation import PRESCRIBED, float32_tanh, xnnpack_sigmoid
from intaglio.runtimes.litert.ops.resize import taps_agree, xnnpack_taps
from intaglio.runtimes.litert.scales.agreement import AGREEMENTS
from runtimes.litert.ops import processors

FUNCTIONS = {"sigmoid": xnnpack_sigmoid, "tanh": float32_tanh}
PRODUCT = Node("product", "mul", ["a", "b"])
SQUARE = Node("square", "mul", ["a", "a"])


def grid(random: np.random.Generator, low: float, high: float, *, power: bool) -> QuantParams:
    """Return a random grid; a zero point in three lies at an end."""
    exponent = random.uniform(math.log2(low), math.log2(high))
    zero = random.integers(-128, 128) if random.random() < 2 / 3 else random.choice([-128, 127])
    return per_tensor(float(2.0 ** (round(exponent) if power else exponent)), int(zero))


def pair(params: QuantParams) -> tuple[float, int]:
    return float(params.step), params.zero


@pytest.mark.slow
def test_products_are_judged_as_by_going_through_all_of_them() -> None:
    random, seen = np.random.default_rng(0), Counter()
    for case in range(200):
        a, b = (grid(random, 2.0**-9, 2.0**3, power=case % 3 == 0) for _ in range(2))
        both = float(a.step * b.step)
        y = grid(random, both * 2, both * 400, power=case % 3 == 0)
        multiplier = processors.product_multiplier(float(a.step), float(b.step), float(y.step))
        products = processors.all_products(a.zero, b.zero)

        same = np.array_equal(
            processors.products_on_x86(products, multiplier, y.zero),
            processors.products_on_arm(products, multiplier, y.zero),
        )

        assert AGREEMENTS["mul"]((a, b), y, 1, PRODUCT) == same, f"case {case}"
        seen[same] += 1
    assert min(seen[True], seen[False]) > 20


@pytest.mark.parametrize("op", ["clamp", "rescale"])
def test_products_by_one_are_judged_as_by_going_through_all_of_them(op: str) -> None:
    random, seen = np.random.default_rng(1), Counter()
    for case in range(200):
        factor = float(random.choice([1 / 6, 0.5, 3.0])) if op == "rescale" else 1.0
        x = grid(random, 2.0**-9, 2.0**3, power=case % 2 == 0)
        step = float(x.step) * factor
        y = grid(random, step, step * 300, power=case % 2 == 0)
        multiplier = processors.product_multiplier(float(x.step), factor, float(y.step))
        products = processors.centered(x.zero)

        same = np.array_equal(
            processors.products_on_x86(products, multiplier, y.zero),
            processors.products_on_arm(products, multiplier, y.zero),
        )

        node = Node("y", op, ["x"], attrs={"factor": factor})
        assert AGREEMENTS[op]((x,), y, 1, node) == same, f"case {case}"
        seen[same] += 1
    assert min(seen.values()) > 10


def test_means_are_judged_as_by_going_through_all_sums() -> None:
    random, seen = np.random.default_rng(2), Counter()
    for case in range(200):
        count = int(random.choice([1, 2, 3, 4, 7, 9, 16, 35, 49, 64, 100, 196]))
        x = grid(random, 2.0**-9, 2.0**3, power=case % 3 == 0)
        y = x if case % 5 == 0 else grid(random, float(x.step) / 8, float(x.step) * 4, power=False)
        sums = processors.all_sums(count)

        same = np.array_equal(
            processors.means_on_x86(sums, count, pair(x), pair(y)),
            processors.means_on_arm(sums, count, pair(x), pair(y)),
        )

        agrees = AGREEMENTS["mean"]((x,), y, count, Node("y", "mean", ["x"]))
        assert agrees == same, f"case {case}: {count} {pair(x)} {pair(y)}"
        seen[same] += 1
    assert min(seen[True], seen[False]) > 8


@pytest.mark.slow
@pytest.mark.parametrize("op", ["sigmoid", "tanh"])
def test_tables_that_agree_are_the_same_with_any_library_on_any_processor(op: str) -> None:
    random, seen = np.random.default_rng(3), Counter()
    for case in range(120):
        x = grid(random, 2.0**-8, 1.0, power=case % 3 == 0)
        y = PRESCRIBED[op] if case % 3 else grid(random, 2.0**-10, 2.0**-6, power=case % 2 == 0)
        agrees = AGREEMENTS[op]((x,), y, 1, Node("y", op, ["x"]))
        seen[agrees] += 1
        if not agrees:
            continue
        reals = FUNCTIONS[op](processors.centered(x.zero).astype(np.float32) * x.step)

        wanted = processors.table_on_x86(reals, *pair(y))

        others = [reals, np.nextafter(reals, -np.inf), np.nextafter(reals, np.inf)]
        others[1:] = [np.where(reals == 0, reals, other) for other in others[1:]]
        for other in others if op == "tanh" else others[:1]:
            assert np.array_equal(wanted, processors.table_on_x86(other, *pair(y)))
            assert np.array_equal(wanted, processors.table_on_arm(other, *pair(y)))
    assert seen[True] > 100


@pytest.mark.slow
def test_ties_that_fusing_breaks_are_seen() -> None:
    x, zero, broken = per_tensor(2.0**-6, -128), -100, 0
    reals = float32_tanh(processors.centered(x.zero).astype(np.float32) * x.step)
    for real in reals[60:].tolist():
        # y / s is 100.5 up to rounding, and the zero point takes 100 of it away
        y = per_tensor(real / 100.5, zero)

        on_arm = processors.table_on_arm(reals, *pair(y))

        if not np.array_equal(processors.table_on_x86(reals, *pair(y)), on_arm):
            broken += 1
            assert not AGREEMENTS["tanh"]((x,), y, 1, Node("y", "tanh", ["x"]))
    assert broken > 10


def test_a_sigmoid_on_its_prescribed_grid_always_agrees() -> None:
    random = np.random.default_rng(5)
    for case in range(1000):
        x = grid(random, 2.0**-9, 2.0, power=case % 3 == 0)
        assert AGREEMENTS["sigmoid"]((x,), PRESCRIBED["sigmoid"], 1, Node("y", "sigmoid", ["x"]))


def test_functions_of_functions_on_prescribed_grids_agree() -> None:
    for inner in PRESCRIBED.values():
        for op, outer in PRESCRIBED.items():
            assert AGREEMENTS[op]((inner,), outer, 1, Node("y", op, ["x"]))


@pytest.mark.slow
def test_squares_agree_only_where_product_and_table_do() -> None:
    random, seen = np.random.default_rng(6), Counter()
    for case in range(200):
        x = grid(random, 2.0**-7, 2.0**3, power=case % 2 == 0)
        both = float(x.step * x.step)
        y = grid(random, both * 2, both * 400, power=case % 2 == 0)
        multiplier = processors.product_multiplier(float(x.step), float(x.step), float(y.step))
        integers = processors.centered(x.zero)
        reals = integers.astype(np.float32) * x.step
        four = [
            processors.products_on_x86(integers**2, multiplier, y.zero),
            processors.products_on_arm(integers**2, multiplier, y.zero),
            processors.table_on_x86(reals * reals, *pair(y)),
            processors.table_on_arm(reals * reals, *pair(y)),
        ]

        same = all(np.array_equal(four[0], other) for other in four[1:])

        agrees = AGREEMENTS["mul"]((x, x), y, 1, SQUARE)
        assert same or not agrees, f"case {case}"
        seen[agrees] += 1
        seen["strict"] += agrees == same
    assert min(seen[True], seen[False]) > 10
    assert seen["strict"] > 190


def test_what_the_kernel_refuses_is_not_searched_for() -> None:
    x, tiny = per_tensor(1.0, 0), per_tensor(1e-30, 0)

    assert AGREEMENTS["mul"]((x, x), tiny, 1, PRODUCT)
    assert AGREEMENTS["mul"]((tiny, tiny), x, 1, PRODUCT)
    assert AGREEMENTS["mean"]((x,), x, 2**20, Node("y", "mean", ["x"]))


@pytest.mark.slow
def test_sizes_are_judged_as_with_exact_positions() -> None:
    seen = Counter()
    for size in range(1, 30):
        for out in range(1, 60):
            taps = xnnpack_taps(size, out, align=False)
            positions = processors.positions_on_arm(size, out)
            positions = positions.clip(np.float32(0), np.float32(size - 1))
            first = positions.astype(np.int64)
            weight = np.rint((positions - first.astype(np.float32)) * np.float32(2048))
            same = np.array_equal(taps.first, first) and np.array_equal(taps.weight, weight)
            assert taps_agree(size, out, align=False) == same, (size, out)
            seen[same] += 1
    assert seen[False] > 50


def test_aligned_corners_need_no_sum_and_agree() -> None:
    assert all(taps_agree(size, out, align=True) for size in range(1, 20) for out in range(1, 40))


@pytest.mark.parametrize("name", ["elu", "exp", "gelu"])
def test_tables_of_the_runtime_are_certain_where_no_neighbour_makes_another(name: str) -> None:
    chain = ((name, 1.0, 1.0, 1.0),) if name == "elu" else ((name,),)
    node, function = Node("f", "function", ["x"], {}, {"chain": chain}), SECOND_ACCOUNT[name]
    random, seen = np.random.default_rng(3), Counter()
    for case in range(200):
        x = grid(random, 2.0**-7, 2.0**-4, power=case % 2 == 0)
        y = grid(random, 2.0**-8, 2.0**-4, power=case % 2 == 0)
        reals = (np.arange(-128, 128) - x.zero) * np.float64(x.step)

        values = function(reals)
        inverse, zero = np.float32(1) / y.step, y.zero
        if name == "elu":
            on_x86 = np.rint(np.float32(values) * inverse + np.float32(zero))
            on_arm = np.rint(np.float64(np.float32(values)) * np.float64(inverse) + zero)
        else:
            steps = np.float32(values) * inverse
            on_x86 = on_arm = np.sign(steps) * np.floor(np.abs(steps) + np.float32(0.5)) + zero
        same = np.array_equal(on_x86.clip(-128, 127), on_arm.clip(-128, 127))

        certain = AGREEMENTS["function"]((x,), y, 1, node)
        assert same or not certain, f"case {case}"
        seen[certain] += 1
    assert seen[True] > 40


SECOND_ACCOUNT = {
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "exp": np.exp,
    "gelu": lambda x: np.asarray([each * (1 + math.erf(each / math.sqrt(2))) / 2 for each in x]),
}
