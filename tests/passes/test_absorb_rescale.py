"""Factors end in weights, wherever all ops on the way are homogeneous."""

from __future__ import annotations

import pytest
import torch

from architectures import captured, images
from architectures.sketch import Sketch
from intaglio.ir.graph import Graph
from intaglio.passes.absorb_rescale import absorb_rescale
from intaglio.passes.canonicalize import canonicalize
from intaglio.runtimes.litert.lower.lower import lower
from passes.same_function import assert_same_function, nodes, ops

SHAPE = (4, 6, 6)
X = images((1, *SHAPE), 2)
PASSED_ON = {
    "mean": {"axes": (2, 3), "keepdim": True},
    "avg_pool2d": {"kernel": (2, 2)},
    "max_pool2d": {"kernel": (2, 2)},
    "reshape": {"shape": (-1, 4, 36, 1)},
    "transpose": {"order": (0, 1, 3, 2)},
    "slice": {"axis": 2, "start": 1, "stop": 4},
    "resize": {"size": (12, 12)},
    "pad": {"padding": (1, 1, 1, 1)},
}


def absorbed(graph: Graph) -> Graph:
    """Run the pass on a copy, and assert that the function stays."""
    after = graph.copy()

    absorb_rescale(after)

    assert_same_function(after, graph, X)
    return after


def test_a_factor_goes_back_into_the_layer_that_makes_its_input():
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4)
    sketch.add("half", "rescale", "conv", factor=0.5)
    graph = sketch.done()

    after = absorbed(graph)

    assert nodes(after) == ["conv = conv2d(x)"]
    assert after.outputs == ["conv"]
    for role in ("weight", "bias"):
        assert torch.equal(after.param(after["conv"], role), graph.params[f"conv.{role}"] / 2)


@pytest.mark.parametrize("op", ["conv2d", "linear", "conv_transpose2d"])
def test_a_factor_goes_into_the_layer_behind_and_leaves_its_bias(op):
    sketch = Sketch(*SHAPE)
    sketch.add("half", "rescale", "x", factor=0.5)
    weight = sketch.random(5, 6) if op == "linear" else sketch.random(4, 4, 2, 2)
    weights = {"weight": weight, "bias": sketch.random(len(weight))}
    sketch.weighted("layer", op, "half", weights, activation=(0.0, 6.0))
    graph = sketch.done()

    after = absorbed(graph)

    assert nodes(after) == [f"layer = {op}(x) {{activation=relu6}}"]
    assert torch.equal(after.param(after["layer"], "weight"), weight / 2)
    assert after.param(after["layer"], "bias") is graph.params["layer.bias"]


@pytest.mark.parametrize("op", PASSED_ON)
def test_homogeneous_ops_pass_a_factor_on(op):
    sketch = Sketch(*SHAPE)
    sketch.add("third", "rescale", "x", factor=1 / 3)
    sketch.add("moved", op, "third", **PASSED_ON[op])
    sketch.conv("conv", "moved", 3, kernel=1)

    assert ops(absorbed(sketch.done())) == [op, "conv2d"]


def test_a_product_of_two_scaled_values_passes_both_factors_on():
    sketch = Sketch(*SHAPE)
    sketch.add("half", "rescale", "x", factor=0.5)
    sketch.add("third", "rescale", "x", factor=1 / 3)
    sketch.add("product", "mul", "half", "third")
    sketch.conv("conv", "product", 4)
    graph = sketch.done()

    after = absorbed(graph)

    assert ops(after) == ["mul", "conv2d"]
    found = after.param(after["conv"], "weight")
    torch.testing.assert_close(found, graph.params["conv.weight"] / 6)


def test_a_square_passes_the_factor_on_squared():
    sketch = Sketch(*SHAPE)
    sketch.add("half", "rescale", "x", factor=0.5)
    sketch.add("square", "mul", "half", "half")

    assert nodes(absorbed(sketch.done())) == [
        "square = mul(x, x)",
        "square.rescale = rescale(square) {factor=0.25}",
    ]


def test_factors_in_a_row_become_one():
    sketch = Sketch(*SHAPE)
    sketch.add("half", "rescale", "x", factor=0.5)
    sketch.add("quarter", "rescale", "half", factor=0.25)

    assert nodes(absorbed(sketch.done())) == ["quarter = rescale(x) {factor=0.125}"]


def test_only_readers_that_cannot_take_the_factor_keep_the_rescale():
    sketch = Sketch(*SHAPE)
    sketch.add("half", "rescale", "x", factor=0.5)
    sketch.conv("conv", "half", 4, padding=(1, 1, 1, 1))
    sketch.add("sum", "add", "conv", "half")

    assert nodes(absorbed(sketch.done())) == [
        "half = rescale(x) {factor=0.5}",
        "conv = conv2d(x) {padding=(1,1,1,1)}",
        "sum = add(conv, half)",
    ]


def test_a_weight_that_two_layers_share_is_scaled_for_one_of_them_only():
    sketch = Sketch(*SHAPE)
    sketch.add("half", "rescale", "x", factor=0.5)
    sketch.conv("conv", "half", 4)
    sketch.conv("again", "x", 4)
    graph = sketch.done("conv", "again")
    graph["again"].params = dict(graph["conv"].params)

    after = absorbed(graph)

    assert after.param(after["again"], "weight") is graph.params["conv.weight"]
    assert ops(after) == ["conv2d", "conv2d"]


STOPS = {
    "add": ("add", {}),
    "sub": ("sub", {}),
    "concat": ("concat", {"axis": 1}),
    "mul with an activation": ("mul", {"activation": (0.0, 6.0)}),
}


@pytest.mark.parametrize("name", STOPS)
def test_what_is_not_homogeneous_keeps_the_rescale(name):
    op, attrs = STOPS[name]
    sketch = Sketch(*SHAPE)
    sketch.add("half", "rescale", "x", factor=0.5)
    sketch.add("result", op, "half", "x", **attrs)
    sketch.conv("conv", "result", 4)
    graph = sketch.done()

    assert absorb_rescale(graph) == 0


@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("clamp", {"activation": (0.0, 6.0)}),
        ("sigmoid", {}),
        ("pad", {"padding": (1, 1, 1, 1), "value": 1.0}),
        ("max_pool2d", {"kernel": (2, 2), "activation": (0.0, 6.0)}),
    ],
)
def test_functions_and_bounds_keep_the_rescale_before_them(op, attrs):
    sketch = Sketch(*SHAPE)
    sketch.add("half", "rescale", "x", factor=0.5)
    sketch.add("result", op, "half", **attrs)

    assert absorb_rescale(sketch.done()) == 0


def test_a_layer_with_an_activation_or_other_readers_does_not_take_the_factor_back():
    active = Sketch(*SHAPE)
    active.conv("conv", "x", 4, activation=(0.0, 6.0))
    active.add("half", "rescale", "conv", factor=0.5)
    shared = Sketch(*SHAPE)
    shared.conv("conv", "x", 4)
    shared.add("half", "rescale", "conv", factor=0.5)
    shared.add("sum", "add", "conv", "half")

    assert absorb_rescale(active.done()) == 0
    assert absorb_rescale(shared.done()) == 0
    assert absorb_rescale(shared.done("half", "conv")) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "additions"),
    [
        ("zoo.mobilenet_v3_small", []),
        ("zoo.mobilenet_v3_large", ["features.1.add"]),  # the first block adds the first layer's
    ],
)
def test_the_sixths_of_mobilenet_v3_end_in_weights_but_for_additions(name, additions):
    graph = captured(name).graph
    canonicalize(graph)
    sixths = sum(node.op in ("hard_swish", "hard_sigmoid") for node in graph)

    lower(graph)

    assert sixths > 20
    left = [node.name for node in graph if node.op == "rescale"]
    assert [reader.name for name in left for reader in graph.readers(name)] == additions


def test_a_sixth_before_a_residual_addition_is_left_there_and_nowhere_else():
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4, padding=(1, 1, 1, 1))
    sketch.add("swish", "hard_swish", "conv")
    sketch.conv("inner", "swish", 4, padding=(1, 1, 1, 1))
    sketch.add("sum", "add", "inner", "swish")
    sketch.conv("last", "sum", 4)
    graph = sketch.done()
    before = graph.copy()

    lower(graph)

    (left,) = (node for node in graph if node.op == "rescale")
    assert [reader.name for reader in graph.readers(left.name)] == ["sum"]
    assert_same_function(graph, before, X)
