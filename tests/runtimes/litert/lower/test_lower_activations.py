"""Hard-swish, hard-sigmoid and SiLU in ops that the delegate takes; the function stays."""

from __future__ import annotations

import pytest
import torch

from architectures import images
from architectures.sketch import Sketch
from intaglio.passes.absorb_rescale import absorb_rescale
from intaglio.runtimes.litert.lower.lower_activations import (
    lower_hard_sigmoid,
    lower_hard_swish,
    lower_silu,
)
from passes.same_function import assert_same_function, nodes, ops

SHAPE = (4, 6, 6)
X = 4 * images((1, *SHAPE), 2)  # wide enough for both ends of the gates
PASSES = {
    "hard_swish": lower_hard_swish,
    "hard_sigmoid": lower_hard_sigmoid,
    "silu": lower_silu,
}


@pytest.mark.parametrize("op", PASSES)
def test_the_function_stays(op):
    sketch = Sketch(*SHAPE)
    sketch.add("first", op, "x")
    sketch.conv("conv", "first", 4)
    sketch.add("second", op, "conv")
    graph = sketch.done("second", "first")
    before = graph.copy()

    assert PASSES[op](graph) == 2

    assert op not in ops(graph)
    assert_same_function(graph, before, X)


@pytest.mark.parametrize("op", PASSES)
def test_each_pass_leaves_the_other_functions_alone(op):
    sketch = Sketch(*SHAPE)
    for other in {*PASSES, "sigmoid", "tanh"} - {op}:
        sketch.add(other, other, "x")
    graph = sketch.done(*set(sketch.graph.nodes) - {"x"})

    assert PASSES[op](graph) == 0


def test_hard_swish_is_add_mul_and_a_rescale():
    sketch = Sketch(*SHAPE)
    sketch.add("swish", "hard_swish", "x")
    graph = sketch.done()

    lower_hard_swish(graph)

    assert nodes(graph) == [
        "swish.constant = constant()",
        "swish.gate = add(x, swish.constant) {activation=relu6}",
        "swish.product = mul(x, swish.gate)",
        f"swish = rescale(swish.product) {{factor={1 / 6}}}",
    ]
    assert graph.param(graph["swish.constant"], "value").tolist() == [[[[3.0]]]]


def test_silu_is_sigmoid_and_mul():
    sketch = Sketch(*SHAPE)
    sketch.add("silu", "silu", "x")
    graph = sketch.done()

    lower_silu(graph)

    assert nodes(graph) == ["silu.sigmoid = sigmoid(x)", "silu = mul(x, silu.sigmoid)"]


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("op", ["conv2d", "linear"])
def test_hard_sigmoid_behind_a_layer_costs_no_node(op, with_bias):
    shape = (4, 1, 1) if op == "conv2d" else (4,)
    sketch = Sketch(*shape)
    weight = sketch.random(6, 4, 1, 1) if op == "conv2d" else sketch.random(6, 4)
    weights = {"weight": weight, **({"bias": sketch.random(6)} if with_bias else {})}
    sketch.weighted("layer", op, "x", weights)
    sketch.add("gate", "hard_sigmoid", "layer")
    graph = sketch.done()
    before = graph.copy()

    lower_hard_sigmoid(graph)

    assert nodes(graph) == [
        f"layer = {op}(x) {{activation=relu6}}",
        f"gate = rescale(layer) {{factor={1 / 6}}}",
    ]
    assert_same_function(graph, before, 4 * images((1, *shape), 8))


def test_the_gates_of_a_squeeze_excite_cost_nothing_but_their_product():
    sketch = Sketch(*SHAPE)
    sketch.add("pool", "mean", "x", axes=(2, 3), keepdim=True)
    sketch.conv("squeeze", "pool", 4, kernel=1)
    sketch.add("gate", "hard_sigmoid", "squeeze")
    sketch.add("excite", "mul", "x", "gate")
    sketch.conv("project", "excite", 4, kernel=1)
    graph = sketch.done()
    before = graph.copy()

    lower_hard_sigmoid(graph)
    absorb_rescale(graph)

    assert ops(graph) == ["mean", "conv2d", "mul", "conv2d"]
    assert_same_function(graph, before, X)


def gate_behind(sketch: Sketch, maker: str, *outputs: str):
    sketch.add("gate", "hard_sigmoid", maker)
    graph = sketch.done("gate", *outputs)
    before = graph.copy()

    lower_hard_sigmoid(graph)

    assert_same_function(graph, before, X)
    return graph


def test_the_three_is_an_addition_where_the_layer_has_an_activation():
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4, activation=(0.0, 6.0))

    graph = gate_behind(sketch, "conv")

    assert ops(graph) == ["conv2d", "add", "rescale"]


def test_the_three_is_an_addition_where_others_read_the_layer():
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4)
    sketch.add("sum", "add", "conv", "conv")

    graph = gate_behind(sketch, "conv", "sum")

    assert sorted(ops(graph)) == ["add", "add", "conv2d", "rescale"]
    assert graph["conv"].attrs["activation"] is None


def test_the_three_is_an_addition_where_the_layer_is_an_output():
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4)

    assert ops(gate_behind(sketch, "conv", "conv")) == ["conv2d", "add", "rescale"]


def test_the_three_is_an_addition_where_no_layer_makes_the_value():
    assert ops(gate_behind(Sketch(*SHAPE), "x")) == ["add", "rescale"]


def test_a_bias_that_two_layers_share_is_raised_for_one_of_them_only():
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4, kernel=1)
    sketch.conv("again", "x", 4, kernel=1)
    graph = sketch.graph
    graph["again"].params = dict(graph["conv"].params)

    gate_behind(sketch, "conv", "again")

    assert torch.equal(
        graph.param(graph["conv"], "bias"), graph.param(graph["again"], "bias") + 3.0
    )
