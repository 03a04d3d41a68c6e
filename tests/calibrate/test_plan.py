"""Which values are integers, which share a grid, and which grids are given beforehand."""

from __future__ import annotations

import pytest
import torch

from architectures.sketch import Sketch
from calibrate.planned import planned
from intaglio.calibrate.plan import observed_values, stored_range
from intaglio.errors import UnknownName
from intaglio.ir.graph import Graph
from intaglio.ops.traits import SHARING
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.lower.lower_shapes import separate_grids

SHAPE = (4, 8, 8)
MOVES = {
    "concat": {"axis": 1},
    "pad": {"padding": (1, 1, 1, 1)},
    "reshape": {"shape": (-1, 4, 64)},
    "transpose": {"order": (0, 1, 3, 2)},
    "slice": {"axis": 2, "start": 0, "stop": 4},
    "reduce_max": {"axes": (3,), "keepdim": True},
    "take": {"axis": 1, "indices": (0, 2, 1)},
    "resize": {"size": (16, 16)},
    "depth_to_space": {"block": 2},
    "max_pool2d": {"kernel": (2, 2)},
    "avg_pool2d": {"kernel": (2, 2)},
}


def plan_of(graph: Graph, scheme: str = "w8a8"):
    return planned(graph, LITERT, scheme)[1]


def ties(graph: Graph) -> set[frozenset[str]]:
    return {frozenset(group) for group in plan_of(graph).groups if len(group) > 1}


def test_every_op_that_moves_values_is_among_the_cases():
    assert set(MOVES) == SHARING


@pytest.mark.parametrize("op", MOVES)
def test_what_moves_or_selects_values_shares_its_inputs_grid(op):
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4, kernel=1)
    sketch.add("moved", op, "conv", **MOVES[op])
    sketch.add("sum", "add", "moved", "moved")
    graph = sketch.done()

    assert ties(graph) == {frozenset({"conv", "moved"})}
    assert "conv" in observed_values(graph, plan_of(graph))
    assert "moved" not in observed_values(graph, plan_of(graph))


@pytest.mark.parametrize("function", ["sigmoid", "tanh"])
@pytest.mark.parametrize("op", MOVES)
def test_a_prescribed_grid_never_meets_an_op_that_shares_one(op, function):
    sketch = Sketch(*SHAPE)
    sketch.add("gate", function, "x")
    sketch.add("moved", op, "gate", **MOVES[op])
    graph = sketch.done()

    assert separate_grids(graph) == 1

    assert set(plan_of(graph).fixed) == {"gate"}


def test_concat_ties_all_its_parts_and_chains_of_ties_are_one_group():
    sketch = Sketch(*SHAPE)
    sketch.conv("a", "x", 4, kernel=1)
    sketch.conv("b", "x", 4, kernel=1)
    sketch.add("both", "concat", "a", "b", axis=1)
    sketch.add("padded", "pad", "b", padding=(1, 1, 1, 1))
    sketch.add("sum", "add", "both", "both")

    groups = ties(sketch.done("sum", "padded"))

    assert groups == {frozenset({"a", "b", "both", "padded"})}


@pytest.mark.parametrize("op", ["add", "sub", "mul"])
def test_arithmetic_ties_nothing(op):
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4, kernel=1)
    sketch.add("result", op, "x", "conv")

    assert ties(sketch.done()) == set()


def test_every_value_is_in_exactly_one_group():
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4)
    sketch.add("moved", "pad", "conv", padding=(1, 1, 1, 1))
    sketch.add("sum", "add", "moved", "x")
    graph = sketch.done()

    members = [name for group in plan_of(graph).groups for name in group]

    assert sorted(members) == sorted(graph.nodes)


def picking(weight: torch.Tensor, **weights: torch.Tensor) -> Graph:
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4)
    given = {"weight": weight, **weights}
    sketch.weighted("picked", "conv2d", "conv", given, groups=4, stride=(2, 2))
    return sketch.done()


def test_a_copying_convolution_shares_its_inputs_grid():
    assert ties(picking(torch.ones(4, 1, 1, 1))) == {frozenset({"conv", "picked"})}


def test_a_convolution_that_computes_something_does_not():
    uneven = torch.ones(4, 1, 1, 1)
    uneven[2] = 1.5

    assert ties(picking(uneven)) == set()
    assert ties(picking(torch.ones(4, 1, 1, 1), bias=torch.zeros(4))) == set()
    assert ties(picking(torch.ones(4, 1, 2, 2))) == set()


@pytest.mark.parametrize(("op", "scale", "zero"), [("sigmoid", 2**-8, -128), ("tanh", 2**-7, 0)])
def test_sigmoid_and_tanh_have_the_grid_that_litert_prescribes(op, scale, zero):
    sketch = Sketch(*SHAPE)
    sketch.add("gate", op, "x")
    graph = sketch.done()

    plan = plan_of(graph)

    assert set(plan.fixed) == {"gate"}
    assert (plan.fixed["gate"].step, plan.fixed["gate"].zero) == (scale, zero)
    assert observed_values(graph, plan) == {"x"}


def test_a_rescale_has_its_inputs_grid_times_the_factor():
    sketch = Sketch(*SHAPE)
    sketch.add("sixth", "rescale", "x", factor=1 / 6)
    graph = sketch.done()

    plan = plan_of(graph)

    assert plan.derived == {"sixth": ("x", 1 / 6)}
    assert observed_values(graph, plan) == {"x"}


def test_a_rescale_that_shares_a_grid_is_observed_instead():
    sketch = Sketch(*SHAPE)
    sketch.add("sixth", "rescale", "x", factor=1 / 6)
    sketch.add("both", "concat", "sixth", "x", axis=1)
    graph = sketch.done()

    plan = plan_of(graph)

    assert plan.derived == {}
    assert observed_values(graph, plan) == {"x", "sixth"}


def test_a_softmax_at_the_end_stays_float_with_a_reason():
    sketch = Sketch(*SHAPE)
    sketch.add("flat", "reshape", "x", shape=(-1, 256))
    sketch.add("scores", "softmax", "flat", axis=1)

    plan = plan_of(sketch.done())

    assert set(plan.kept_float) == {"scores"}
    assert "softmax" in plan.kept_float["scores"]
    assert "scores" not in plan.activations
    assert "flat" in plan.activations


def test_a_softmax_that_something_reads_is_an_integer_layer():
    sketch = Sketch(*SHAPE)
    sketch.add("attention", "softmax", "x", axis=1)
    sketch.add("product", "mul", "x", "attention")
    read = sketch.done()
    both = read.copy()
    both.outputs = ["product", "attention"]

    assert plan_of(read).kept_float == {}
    assert plan_of(both).kept_float == {}


@pytest.mark.parametrize("target", [LITERT, LITERT_REFERENCE])
@pytest.mark.parametrize("scheme", ["w8a17", "fp8", ""])
def test_a_scheme_that_does_not_exist_is_refused_by_name(target, scheme):
    with pytest.raises(UnknownName, match=f"unknown scheme '{scheme}'.*w8a8"):
        planned(Sketch(*SHAPE).done("x"), target, scheme)


def test_weights_are_narrow_and_symmetric_per_output_channel():
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 6)
    weight = {"weight": sketch.random(4, 5, 2, 2)}
    sketch.weighted("up", "conv_transpose2d", "x", weight)
    sketch.add("sum", "add", "x", "x")
    graph = sketch.done("conv", "up", "sum")

    per_channel = plan_of(graph).weights
    per_tensor = plan_of(graph, "w8a8-per-tensor").weights

    assert {name: spec.axis for name, spec in per_channel.items()} == {"conv": 0, "up": 1}
    assert {name: spec.axis for name, spec in per_tensor.items()} == {"conv": None, "up": None}
    for spec in [*per_channel.values(), *per_tensor.values()]:
        assert (spec.qmin, spec.qmax, spec.symmetric) == (-127, 127, True)


def test_a_constants_range_is_that_of_its_values():
    sketch = Sketch(*SHAPE)
    sketch.constant("c", torch.tensor([[-0.5, 2.0], [0.25, 1.0]]))
    graph = sketch.done("x")

    assert [bound.item() for bound in stored_range(graph, graph["c"])] == [-0.5, 2.0]
    assert "c" not in observed_values(graph, plan_of(graph))


PADDED = {"padding": (1, 1, 1, 1)}


@pytest.mark.parametrize(
    ("value", "kernel", "seen"),
    [
        (1.5, (1, 1), 1.5),
        (-3.0, (1, 1), -3.0),
        (-3.0, (2, 2), None),  # never the largest of a window: the lowest integer does as well
        (3.0, (2, 2), 3.0),
        (0.0, (1, 1), None),
        (float("-inf"), (2, 2), None),
    ],
)
def test_what_a_pad_fills_with_is_in_its_range_where_it_can_be_seen(value, kernel, seen):
    sketch = Sketch(3, 6, 6)
    sketch.add("padded", "pad", "x", value=value, **PADDED)
    sketch.add("pool", "max_pool2d", "padded", kernel=kernel)
    graph = sketch.done()

    found = stored_range(graph, graph["padded"])

    assert (found is None) == (seen is None)
    assert found is None or [float(bound) for bound in found] == [seen, seen]
