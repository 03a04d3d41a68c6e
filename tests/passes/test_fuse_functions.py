"""Functions in a row are one function; what stands alone stays what it is."""

from __future__ import annotations

import pytest
import torch

from architectures import images
from architectures.sketch import Sketch
from intaglio.passes.canonicalize import canonicalize
from intaglio.passes.fuse_functions import fuse_functions
from passes.same_function import assert_same_function, ops

SHAPE = (4, 6, 6)
X = images((1, *SHAPE), 2)
NEIGHBOURS = {
    "rescale": {"factor": 0.5},
    "clamp": {"activation": (-0.5, 1.5)},
    "leaky_relu": {"slope": 0.1},
    "sigmoid": {},
    "tanh": {},
    "silu": {},
    "hard_swish": {},
    "hard_sigmoid": {},
    "function": {"chain": (("cos",), ("mul", 2.0))},
}
CHAIN = (("square",), ("add", 0.1), ("sqrt",))


@pytest.mark.parametrize("op", NEIGHBOURS)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_function_takes_in_its_neighbours(op, is_first) -> None:
    sketch = Sketch(*SHAPE)
    first, second = (op, "function") if is_first else ("function", op)
    settings = {op: NEIGHBOURS[op], "function": {"chain": CHAIN}}
    sketch.add("first", first, "x", **settings[first])
    sketch.add("second", second, "first", **settings[second])
    graph = sketch.done()
    before = graph.copy()

    assert fuse_functions(graph) == 1

    assert [(node.name, node.op) for node in graph] == [("x", "input"), ("second", "function")]
    assert_same_function(graph, before, X)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("activation", [None, (0.0, 6.0)])
def test_an_operation_with_one_number_is_a_function(op, is_first, activation) -> None:
    if op == "div" and activation:
        pytest.skip("a quotient has no activation")
    sketch = Sketch(*SHAPE)
    sketch.add("root", "function", "x", chain=CHAIN)
    number = sketch.constant("number", torch.full((1, 1, 1, 1), 0.7))
    operands = (number, "root") if is_first else ("root", number)
    sketch.add("result", op, *operands, **({} if op == "div" else {"activation": activation}))
    graph = sketch.done()
    before = graph.copy()

    fuse_functions(graph)

    assert ops(graph) == ["function"]
    assert "number" not in graph.nodes
    assert_same_function(graph, before, X)


def test_a_whole_row_is_one_function_under_the_name_of_its_last() -> None:
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4)
    sketch.add("half", "rescale", "conv", factor=0.5)
    sketch.add("gate", "sigmoid", "half")
    sketch.add("more", "add", "gate", sketch.constant("epsilon", torch.full((1, 1, 1, 1), 1e-3)))
    sketch.add("root", "function", "more", chain=(("rsqrt",),))
    sketch.add("end", "tanh", "root")
    graph = sketch.done()
    before = graph.copy()

    canonicalize(graph)

    assert ops(graph) == ["conv2d", "function"]
    assert graph["end"].source == "layer.root"
    calls = [call[0] for call in graph["end"].attrs["chain"]]
    assert calls == ["mul", "sigmoid", "add", "rsqrt", "tanh"]
    assert_same_function(graph, before, X)


def test_ops_without_a_function_beside_them_stay() -> None:
    sketch = Sketch(*SHAPE)
    for index, (op, attrs) in enumerate(list(NEIGHBOURS.items())[:-1]):
        sketch.add(f"n{index}", op, f"n{index - 1}" if index else "x", **attrs)

    assert fuse_functions(sketch.done()) == 0


@pytest.mark.parametrize("reader", ["another", "output", "vector"])
def test_a_value_that_others_read_or_that_is_no_single_number_is_left(reader) -> None:
    sketch = Sketch(*SHAPE)
    sketch.add("root", "function", "x", chain=CHAIN)
    vector = sketch.constant("vector", torch.full((1, 4, 1, 1), 0.7))
    if reader == "vector":
        sketch.add("end", "add", "root", vector)
    else:
        sketch.add("end", "tanh", "root")
    if reader == "another":
        sketch.add("sum", "add", "end", "root")
    outputs = ("end", "root") if reader == "output" else (list(sketch.graph.nodes)[-1],)

    assert fuse_functions(sketch.done(*outputs)) == 0


def test_a_row_longer_than_a_chain_may_be_is_several() -> None:
    sketch = Sketch(*SHAPE)
    for index in range(40):
        source = f"f{index - 1}" if index else "x"
        sketch.add(f"f{index}", "function", source, chain=(("sin",), ("mul", 1.1)))
    graph = sketch.done()
    before = graph.copy()

    fuse_functions(graph)

    assert ops(graph) == ["function", "function"]
    assert_same_function(graph, before, X)


@pytest.mark.parametrize(
    ("op", "bounds"), [("maximum", (0.25, float("inf"))), ("minimum", (float("-inf"), 0.25))]
)
@pytest.mark.parametrize("is_first", [True, False])
def test_the_larger_of_a_value_and_one_number_is_a_clamp(op, bounds, is_first) -> None:
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4)
    number = sketch.constant("number", torch.full((1, 1, 1, 1), 0.25))
    sketch.add("chosen", op, *((number, "conv") if is_first else ("conv", number)))
    graph = sketch.done()
    before = graph.copy()

    canonicalize(graph)

    assert ops(graph) == ["conv2d"]
    assert graph["conv"].attrs["activation"] == bounds
    assert_same_function(graph, before, X)
