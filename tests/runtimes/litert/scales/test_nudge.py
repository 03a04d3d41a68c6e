"""After nudging, both processors' formulas agree on every reachable integer.

The formulas are those of run/integer/processors.py, which shares no code with the package.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from architectures.sketch import Sketch
from calibrate.planned import plan_of
from intaglio.errors import UnsupportedByTarget
from intaglio.ir.graph import Graph
from intaglio.numerics.affine import params_from_range
from intaglio.numerics.plan import Plan, with_derived
from intaglio.numerics.spec import QuantParams, per_tensor
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.ops.activation import PRESCRIBED, float32_tanh, xnnpack_sigmoid
from intaglio.runtimes.litert.scales.agreement import AGREEMENTS
from intaglio.runtimes.litert.scales.nudge import nudge_scales
from runtimes.litert.ops import processors

SHAPE = (4, 6, 5)
Grids = dict[str, QuantParams]
FUNCTIONS = {"sigmoid": xnnpack_sigmoid, "tanh": float32_tanh}


def grid(random: np.random.Generator, low: float, high: float, *, power: bool) -> QuantParams:
    """Return a random grid; a zero point in three lies at an end."""
    exponent = random.uniform(np.log2(low), np.log2(high))
    zero = random.integers(-128, 128) if random.random() < 2 / 3 else random.choice([-128, 127])
    return per_tensor(float(2.0 ** (round(exponent) if power else exponent)), int(zero))


def pair(params: QuantParams) -> tuple[float, int]:
    return float(params.step), params.zero


def nudged(graph: Graph, grids: Grids, plan: Plan | None = None) -> Grids:
    plan = plan or plan_of(graph, LITERT, "w8a8")
    return nudge_scales(graph, plan, grids, LITERT.name)[1]


def two_operands() -> Sketch:
    """Return a graph of two clamps, "a" and "b", of the input."""
    sketch = Sketch(*SHAPE)
    for name in ("a", "b"):
        sketch.clamp(name, "x")
    return sketch


@pytest.mark.slow
def test_products_agree_on_all_pairs_after_a_nudge_of_at_most_one_ulp() -> None:
    sketch = two_operands()
    sketch.add("y", "mul", "a", "b")
    graph, random, moved = sketch.done(), np.random.default_rng(0), 0
    for case in range(200):
        a, b = (grid(random, 2.0**-9, 2.0**3, power=case % 2 == 0) for _ in range(2))
        both = float(a.step * b.step)
        y = grid(random, both * 2, both * 400, power=case % 2 == 0)
        grids = {"x": per_tensor(0.7, 3), "a": a, "b": b, "y": y}
        given = dict(grids)

        found = nudged(graph, grids)

        # the clamps' own grids may have moved as well
        steps = [float(found[name].step) for name in ("a", "b", "y")]
        multiplier = processors.product_multiplier(*steps)
        products = processors.all_products(a.zero, b.zero)
        assert np.array_equal(
            processors.products_on_x86(products, multiplier, y.zero),
            processors.products_on_arm(products, multiplier, y.zero),
        ), f"case {case}"
        ulps = int(np.float32(found["y"].step).view(np.int32) - np.float32(y.step).view(np.int32))
        assert 0 <= ulps <= 2
        moved += ulps > 0
        assert grids == given, "the grids given were changed"
    assert moved > 20


@pytest.mark.slow
def test_squares_agree_as_product_and_as_table_after_the_nudge() -> None:
    sketch = Sketch(*SHAPE)
    sketch.add("y", "mul", "x", "x")
    graph, random, moved = sketch.done(), np.random.default_rng(1), 0
    for case in range(200):
        x = grid(random, 2.0**-7, 2.0**3, power=case % 2 == 0)
        both = float(x.step * x.step)
        given = grid(random, both * 2, both * 400, power=case % 2 == 0)

        y = nudged(graph, {"x": x, "y": given})["y"]

        multiplier = processors.product_multiplier(float(x.step), float(x.step), float(y.step))
        integers = processors.centered(x.zero)
        reals = integers.astype(np.float32) * x.step
        wanted = processors.products_on_x86(integers**2, multiplier, y.zero)
        others = [
            processors.products_on_arm(integers**2, multiplier, y.zero),
            processors.table_on_x86(reals * reals, *pair(y)),
            processors.table_on_arm(reals * reals, *pair(y)),
        ]
        assert all(np.array_equal(wanted, other) for other in others), f"case {case}"
        moved += not y.same_grid(given)
    assert moved > 20


@pytest.mark.parametrize("count", [2, 9, 30, 49, 196, 784])
def test_means_agree_on_all_sums_after_the_nudge(count: int) -> None:
    sketch = Sketch(3, 1, count)
    sketch.add("y", "mean", "x", axes=(2, 3), keepdim=True)
    graph, random, moved = sketch.done(), np.random.default_rng(count), 0
    for case in range(40):
        x = grid(random, 2.0**-9, 2.0**3, power=case % 2 == 0)
        step = float(x.step)
        given = grid(random, step / 8, step * 2, power=case % 2 == 0)

        y = nudged(graph, {"x": x, "y": given})["y"]

        sums = processors.all_sums(count)
        assert np.array_equal(
            processors.means_on_x86(sums, count, pair(x), pair(y)),
            processors.means_on_arm(sums, count, pair(x), pair(y)),
        ), f"case {case}"
        assert float(y.step) <= float(given.step) * (1 + 2e-5)
        moved += not y.same_grid(given)
    assert moved > 0 or count == 2


@pytest.mark.parametrize("op", ["clamp", "rescale"])
def test_products_by_one_agree_on_all_integers_after_the_nudge(op: str) -> None:
    sketch = Sketch(*SHAPE)
    attrs = {"factor": 1 / 6} if op == "rescale" else {"activation": (0.0, 6.0)}
    sketch.add("y", op, "x", **attrs)
    graph, random = sketch.done(), np.random.default_rng(3)
    plan = replace(plan_of(graph, LITERT, "w8a8"), derived={})
    factor = attrs.get("factor", 1.0)
    for case in range(200):
        x = grid(random, 2.0**-9, 2.0**3, power=case % 2 == 0)
        step = float(x.step) * factor
        given = grid(random, step, step * 300, power=case % 2 == 0)

        y = nudged(graph, {"x": x, "y": given}, plan)["y"]

        multiplier = processors.product_multiplier(float(x.step), factor, float(y.step))
        integers = processors.centered(x.zero)
        assert np.array_equal(
            processors.products_on_x86(integers, multiplier, y.zero),
            processors.products_on_arm(integers, multiplier, y.zero),
        ), f"case {case}"


@pytest.mark.parametrize("op", ["sigmoid", "tanh"])
def test_tables_on_a_grid_of_their_own_agree_after_the_nudge(op: str) -> None:
    sketch = Sketch(*SHAPE)
    sketch.add("y", op, "x")
    graph, random = sketch.done(), np.random.default_rng(4)
    plan = replace(plan_of(graph, LITERT, "w8a8"), fixed={})
    for case in range(60):
        x = grid(random, 2.0**-8, 1.0, power=case % 3 == 0)
        given = grid(random, 2.0**-10, 2.0**-6, power=case % 2 == 0)

        found = nudged(graph, {"x": x, "y": given}, plan)

        y = found["y"]
        reals = FUNCTIONS[op](processors.centered(x.zero).astype(np.float32) * x.step)
        assert np.array_equal(
            processors.table_on_x86(reals, *pair(y)), processors.table_on_arm(reals, *pair(y))
        ), f"case {case}"
        assert found["x"].same_grid(x)


def doubtful_tanh_input() -> QuantParams:
    """Return a grid on which a tanh is so near a tie that libraries may differ."""
    node = tanh_graph()["y"]
    random = np.random.default_rng(5)
    while True:
        x = grid(random, 2.0**-7, 2.0**-4, power=False)
        if not AGREEMENTS["tanh"]((x,), PRESCRIBED["tanh"], 1, node):
            return x


def tanh_graph() -> Graph:
    sketch = Sketch(*SHAPE)
    sketch.add("y", "tanh", "x")
    return sketch.done()


def test_a_prescribed_grid_stays_and_the_input_moves() -> None:
    x = doubtful_tanh_input()

    found = nudged(tanh_graph(), {"x": x, "y": PRESCRIBED["tanh"]})

    assert found["y"].same_grid(PRESCRIBED["tanh"])
    assert float(x.step) < float(found["x"].step) < float(x.step) * (1 + 2e-5)
    assert AGREEMENTS["tanh"]((found["x"],), found["y"], 1, tanh_graph()["y"])


def test_values_that_share_a_grid_move_together() -> None:
    sketch = two_operands()
    sketch.add("y", "mul", "a", "b")
    sketch.add("joined", "concat", "y", "y", axis=1)
    graph = sketch.done()
    grids = {name: per_tensor(2.0**-3, 0) for name in graph.nodes}

    found = nudged(graph, grids)

    assert found["y"].same_grid(found["joined"])
    assert float(found["y"].step) > 2.0**-3
    assert all(agrees(graph, found, name) for name in ("a", "b", "y"))


def agrees(graph: Graph, grids: Grids, name: str) -> bool:
    inputs = tuple(grids[source] for source in graph[name].inputs)
    return AGREEMENTS[graph[name].op](inputs, grids[name], 1, graph[name])


def test_a_relabelled_value_is_exactly_its_source_times_the_factor() -> None:
    sketch = two_operands()
    sketch.add("y", "mul", "a", "b")
    sketch.add("sixth", "rescale", "y", factor=1 / 6)
    graph = sketch.done()
    power = per_tensor(2.0**-3, -128)
    grids = {name: power for name in ("x", "a", "b", "y")}

    found = nudged(graph, grids)

    assert found["y"].step > power.step
    assert found["sixth"].step == np.float32(found["y"].step * np.float32(1 / 6))
    assert found["sixth"].zero == -128
    steps = float(found["y"].step), 1 / 6, float(found["sixth"].step)
    assert processors.product_multiplier(*steps) == 1.0


def test_the_reference_target_keeps_its_scales() -> None:
    sketch = two_operands()
    sketch.add("y", "mul", "a", "b")
    graph = sketch.done()
    grids = {name: per_tensor(2.0**-3, 0) for name in graph.nodes}
    plan = plan_of(graph, LITERT_REFERENCE, "w8a8")

    found = LITERT_REFERENCE.settle_scales(graph, plan, grids, {})[1]

    assert all(found[name].same_grid(grids[name]) for name in grids)
    assert not nudged(graph, grids)["y"].same_grid(grids["y"])


def test_a_mean_that_shares_its_inputs_grid_has_no_scale_to_move() -> None:
    random = np.random.default_rng(6)
    sketch = Sketch(1, 6, 3)
    sketch.add("y", "mean", "x", axes=(2,), keepdim=True)
    sketch.add("joined", "concat", "y", "x", axis=2)
    graph = sketch.done()
    refused = 0
    for zero in range(-128, 128):
        shared = per_tensor(float(random.uniform(0.01, 0.1)), zero)
        if AGREEMENTS["mean"]((shared,), shared, 6, graph["y"]):
            assert nudged(graph, dict.fromkeys(graph.nodes, shared))["y"].same_grid(shared)
            continue
        with pytest.raises(UnsupportedByTarget, match=r"layer\.y.*no scale was found"):
            nudged(graph, dict.fromkeys(graph.nodes, shared))
        refused += 1
    assert 0 < refused < 256


@pytest.mark.parametrize("factor", [0.02, 0.5, 0.1, 0.05, 0.01, 0.3, 0.7, 0.9])
def test_the_constant_moves_where_a_product_shares_its_grid_with_its_operand(factor: float) -> None:
    sketch = Sketch(*SHAPE)
    sketch.constant("factor", torch.full((1, 1, 1), factor))
    sketch.add("y", "mul", "x", "factor")
    sketch.add("joined", "concat", "y", "x", axis=1)
    graph, shared = sketch.done(), per_tensor(2.0**-6, 3)
    constant = params_from_range(torch.tensor(0.0), torch.tensor(factor), shared.spec)
    grids = {**dict.fromkeys(graph.nodes, shared), "factor": constant}

    found = nudged(graph, grids)

    assert all(found[name].same_grid(shared) for name in ("x", "y", "joined"))
    assert agrees(graph, found, "y")
    assert float(constant.step) <= float(found["factor"].step) < float(constant.step) * (1 + 1e-6)


def test_a_factor_of_a_prescribed_grid_moves_off_it_where_a_tanh_needs_that() -> None:
    sketch = Sketch(*SHAPE)
    sketch.add("gate", "sigmoid", "x")
    sketch.add("part", "rescale", "gate", factor=1.0)
    sketch.add("y", "tanh", "part")
    graph = sketch.done()
    grids = {"x": per_tensor(0.1, 0), "gate": PRESCRIBED["sigmoid"], "y": PRESCRIBED["tanh"]}
    random = np.random.default_rng(7)
    moved = 0
    while not moved:
        graph["part"].attrs["factor"] = float(random.uniform(0.1, 4.0))
        plan = plan_of(graph, LITERT, "w8a8")
        before = with_derived(plan, grids)["part"]
        moved += not AGREEMENTS["tanh"]((before,), grids["y"], 1, graph["y"])

    settled, found = nudge_scales(graph, plan, grids, LITERT.name)

    assert not settled.derived
    assert found["part"].step > before.step
    assert agrees(graph, found, "y")
    assert agrees(graph, found, "part")


def test_two_ratios_that_are_each_others_inverse_come_apart() -> None:
    """Each of two requantizations undoes, raised alone, what the other needs."""
    sketch = Sketch(*SHAPE)
    sketch.clamp("there", "x")
    sketch.clamp("back", "there")
    sketch.add("first", "concat", "x", "back", axis=1)
    graph, random = sketch.done(), np.random.default_rng(8)
    for power in (True, False) * 20:
        one, other = (grid(random, 2.0**-5, 2.0**-3, power=power) for _ in range(2))
        found = nudged(graph, {"x": one, "back": one, "first": one, "there": other})
        assert all(agrees(graph, found, name) for name in ("there", "back"))


def test_nudging_does_not_depend_on_what_was_nudged_before() -> None:
    sketch = two_operands()
    sketch.add("y", "mul", "a", "b")
    graph = sketch.done()
    grids = {name: per_tensor(2.0**-3, 0) for name in graph.nodes}

    once = nudged(graph, grids)

    assert all(nudged(graph, once)[name].same_grid(once[name]) for name in once)
    assert torch.equal(nudged(graph, grids)["y"].scale, once["y"].scale)
