"""Clamps move into the op that makes their value."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from architectures import images
from architectures.sketch import Sketch
from intaglio.ir.text import text
from intaglio.ops import activate
from intaglio.passes.fuse_activation import fuse_activation, hoist_clamp
from intaglio.run.float import run_float

SHAPE = (4, 6, 6)
X = images((1, *SHAPE), 2)
BOUND = st.sampled_from([-math.inf, -2.0, -0.5, 0.0, 0.25, 1.0, 6.0, math.inf])


def nodes(graph) -> list[str]:
    return [line.split(" -> ")[0] for line in text(graph).splitlines()[1:-1]]


def test_a_relu_moves_into_the_convolution():
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4)
    sketch.clamp("relu", "conv")
    graph = sketch.done()
    before = graph.copy()

    assert fuse_activation(graph) == 1

    assert text(graph) == (
        "x = input() -> [N,4,6,6]\nconv = conv2d(x) {activation=relu} -> [N,4,4,4]\nreturn conv\n"
    )
    assert torch.equal(run_float(graph, X)[0], run_float(before, X)[0])


def test_clamps_in_a_row_become_one():
    sketch = Sketch(*SHAPE)
    sketch.add("add", "add", "x", "x")
    sketch.clamp("first", "add")
    sketch.clamp("second", "first", -1.0, 6.0)
    graph = sketch.done()

    assert fuse_activation(graph) == 2

    assert nodes(graph) == ["add = add(x, x) {activation=relu6}"]


def test_a_clamp_of_a_value_with_other_readers_stays():
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4)
    sketch.clamp("relu", "conv")
    sketch.add("add", "add", "relu", "conv")
    both = sketch.done()
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4)
    sketch.clamp("relu", "conv")
    output = sketch.done("relu", "conv")

    assert fuse_activation(both) == 0
    assert fuse_activation(output) == 0


def test_a_clamp_of_an_op_that_cannot_hold_it_stays():
    sketch = Sketch(*SHAPE)
    sketch.add("swish", "hard_swish", "x")
    sketch.clamp("relu", "swish")
    on_input = Sketch(*SHAPE)
    on_input.clamp("relu", "x")

    assert fuse_activation(sketch.done()) == 0
    assert fuse_activation(on_input.done()) == 0


@settings(max_examples=50, deadline=None)
@given(BOUND, BOUND, BOUND, BOUND)
def test_the_joint_clamp_equals_both_one_after_the_other(low, high, low2, high2):
    low, low2 = min(low, high), min(low2, high2)
    sketch = Sketch(8)
    sketch.clamp("first", "x", low, high)
    sketch.clamp("second", "first", low2, high2)
    graph = sketch.done()
    values = torch.tensor([[-9.0, -2.0, -0.7, 0.0, 0.1, 0.3, 5.0, 99.0]])
    theirs = activate(activate(values, (low, high)), (low2, high2))

    fuse_activation(graph)

    assert len(graph.nodes) == 2
    assert torch.equal(run_float(graph, values)[0], theirs)


def test_a_clamp_behind_concat_moves_into_both_layers():
    sketch = Sketch(*SHAPE)
    sketch.conv("a", "x", 4)
    sketch.conv("b", "x", 2)
    sketch.add("concat", "concat", "a", "b", axis=1)
    sketch.clamp("relu6", "concat", 0.0, 6.0)
    graph = sketch.done()
    before = graph.copy()

    assert (hoist_clamp(graph), fuse_activation(graph)) == (1, 2)

    assert nodes(graph) == [
        "a = conv2d(x) {activation=relu6}",
        "b = conv2d(x) {activation=relu6}",
        "concat = concat(a, b) {axis=1}",
    ]
    assert torch.equal(run_float(graph, X)[0], run_float(before, X)[0])


@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("reshape", {"shape": (-1, 2, 2, 4, 4)}),
        ("transpose", {"order": (0, 2, 1, 3)}),
        ("depth_to_space", {"block": 2}),
    ],
)
def test_a_clamp_moves_in_front_of_what_only_moves_values(op, attrs):
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4)
    sketch.add("moved", op, "conv", **attrs)
    sketch.clamp("relu", "moved")
    graph = sketch.done()
    before = graph.copy()

    assert (hoist_clamp(graph), fuse_activation(graph)) == (1, 1)

    assert nodes(graph)[0] == "conv = conv2d(x) {activation=relu}"
    assert torch.equal(run_float(graph, X)[0], run_float(before, X)[0])


def test_a_clamp_stays_behind_concat_when_one_part_has_no_layer_for_it():
    sketch = Sketch(*SHAPE)
    sketch.conv("a", "x", 4, kernel=1)
    sketch.add("concat", "concat", "a", "x", axis=1)
    sketch.clamp("relu", "concat")
    twice = Sketch(*SHAPE)
    twice.conv("a", "x", 4, kernel=1)
    twice.add("concat", "concat", "a", "a", axis=1)
    twice.clamp("relu", "concat")

    assert hoist_clamp(sketch.done()) == 0
    assert hoist_clamp(twice.done()) == 0
