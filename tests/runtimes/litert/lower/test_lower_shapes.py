"""Affines, strided slices and concatenations in the delegate's ops."""

from __future__ import annotations

import pytest
import torch

from architectures import images
from architectures.sketch import Sketch
from intaglio.ir.graph import Graph
from intaglio.ir.text import text
from intaglio.runtimes.litert.lower.lower_shapes import (
    LARGEST_CONCAT,
    lower_affine,
    lower_strided_slice,
    merge_strides,
    separate_grids,
    split_concat,
)
from passes.same_function import assert_same_function, nodes, ops

SHAPE = (4, 8, 10)
X = images((1, *SHAPE), 2)


def assert_ran(step, graph: Graph, changes: int, *, exact: bool = False, given=X) -> Graph:
    """Run a pass on a copy, and assert its changes and that the function stays."""
    after = graph.copy()

    assert step(after) == changes

    assert_same_function(after, graph, given, exact=exact)
    if not changes:
        assert text(after) == text(graph)
    return after


@pytest.mark.parametrize("activation", [None, (0.0, 6.0)])
@pytest.mark.parametrize("shape", [SHAPE, (4,)])
def test_an_affine_becomes_a_layer(shape, activation):
    sketch = Sketch(*shape)
    weights = {"weight": sketch.random(4), "bias": sketch.random(4)}
    sketch.weighted("affine", "affine", "x", weights, activation=activation)

    after = assert_ran(lower_affine, sketch.done(), 1, given=images((1, *shape), 3))

    assert ops(after) == ["conv2d" if len(shape) == 3 else "linear"]
    assert after["affine"].attrs["activation"] == activation


def test_an_affine_on_three_axes_is_left_alone():
    sketch = Sketch(4, 8)
    sketch.weighted("affine", "affine", "x", {"weight": sketch.random(4), "bias": sketch.random(4)})

    assert_ran(lower_affine, sketch.done(), 0, given=images((1, 4, 8), 2))


def sliced(sketch: Sketch, name: str, source: str, axis: int, step: int, **attrs) -> None:
    size = sketch.graph[source].shape[axis]
    settings = {"start": 0, "stop": size, **attrs}
    sketch.add(name, "slice", source, axis=axis, step=step, **settings)


def test_every_second_row_and_column_is_one_convolution():
    sketch = Sketch(*SHAPE)
    sliced(sketch, "rows", "x", 2, 2)
    sliced(sketch, "both", "rows", 3, 2)

    after = assert_ran(lower_strided_slice, sketch.done(), 3, exact=True)

    assert nodes(after) == ["both = conv2d(x) {groups=4, stride=(2,2)}"]


@pytest.mark.parametrize(("axis", "stride"), [(2, (3, 1)), (3, (1, 3))])
def test_every_third_row_or_column_is_a_convolution(axis, stride):
    sketch = Sketch(*SHAPE)
    sliced(sketch, "picked", "x", axis, 3)

    after = assert_ran(lower_strided_slice, sketch.done(), 1, exact=True)

    assert after["picked"].attrs["stride"] == stride


def test_strides_along_one_axis_multiply():
    sketch = Sketch(4, 11, 13)
    sliced(sketch, "first", "x", 3, 2)
    sliced(sketch, "second", "first", 3, 3)

    after = assert_ran(
        lower_strided_slice, sketch.done(), 3, exact=True, given=images((1, 4, 11, 13), 2)
    )

    assert nodes(after) == ["second = conv2d(x) {groups=4, stride=(1,6)}"]


def test_a_slice_that_others_read_is_not_merged_away():
    sketch = Sketch(*SHAPE)
    sliced(sketch, "rows", "x", 2, 2)
    sliced(sketch, "both", "rows", 3, 2)

    after = assert_ran(lower_strided_slice, sketch.done("both", "rows"), 2, exact=True)

    assert ops(after) == ["conv2d", "conv2d"]


@pytest.mark.parametrize(
    ("axis", "step", "attrs"),
    [
        (2, 1, {"stop": 4}),
        (1, 2, {}),
    ],
)
def test_slices_that_a_stride_cannot_say_stay(axis, step, attrs):
    sketch = Sketch(*SHAPE)
    sliced(sketch, "picked", "x", axis, step, **attrs)

    assert_ran(lower_strided_slice, sketch.done(), 0, exact=True)


@pytest.mark.parametrize(
    ("axis", "step", "attrs", "cut"),
    [
        (2, 2, {"start": 1}, (1, 8)),
        (2, 2, {"start": 3, "stop": 6}, (3, 6)),
        (2, 2, {"stop": 4}, (0, 4)),
        (3, 3, {"stop": 9}, (0, 9)),  # 3 of the 4 that a stride gives
    ],
)
def test_what_a_stride_cannot_say_is_cut_off_beforehand(axis, step, attrs, cut):
    sketch = Sketch(*SHAPE)
    sliced(sketch, "picked", "x", axis, step, **attrs)

    after = assert_ran(lower_strided_slice, sketch.done(), 1, exact=True)

    assert nodes(after)[0] == (
        f"picked.cut = slice(x) {{axis={axis}, start={cut[0]}, stop={cut[1]}}}"
    )
    assert ops(after) == ["slice", "conv2d"]


def test_a_stop_that_leaves_out_nothing_is_a_stride():
    sketch = Sketch(*SHAPE)
    sliced(sketch, "picked", "x", 2, 2, stop=7)

    assert_ran(lower_strided_slice, sketch.done(), 1, exact=True)


def test_slices_of_other_ranks_stay():
    sketch = Sketch(8, 6)
    sliced(sketch, "picked", "x", 2, 2)

    assert_ran(lower_strided_slice, sketch.done(), 0, exact=True, given=images((1, 8, 6), 2))


ONES = {
    "padding": ({"groups": 4, "padding": (1, 1, 1, 1)}, torch.ones(4, 1, 1, 1)),
    "two results a channel": ({"groups": 4}, torch.ones(8, 1, 1, 1)),
    "a weight that is not one": ({"groups": 4}, torch.tensor([1.0, 1, 2, 1]).reshape(4, 1, 1, 1)),
    "an activation": ({"groups": 4, "activation": (0.0, 6.0)}, torch.ones(4, 1, 1, 1)),
}


@pytest.mark.parametrize("name", ONES)
def test_a_convolution_that_does_more_than_pick_is_not_merged(name):
    attrs, weight = ONES[name]
    sketch = Sketch(*SHAPE)
    sketch.weighted("first", "conv2d", "x", {"weight": weight}, **attrs)
    count = sketch.graph["first"].channels
    ones = {"weight": torch.ones(count, 1, 1, 1)}
    sketch.weighted("second", "conv2d", "first", ones, groups=count, stride=(2, 2))

    assert_ran(merge_strides, sketch.done(), 0)


def test_a_convolution_that_spreads_one_channel_is_not_merged():
    sketch = Sketch(1, 8, 8)
    sketch.weighted("spread", "conv2d", "x", {"weight": torch.ones(4, 1, 1, 1)})
    ones = {"weight": torch.ones(4, 1, 1, 1)}
    sketch.weighted("picked", "conv2d", "spread", ones, groups=4, stride=(2, 2))

    assert_ran(merge_strides, sketch.done(), 0, given=images((1, 1, 8, 8), 2))


@pytest.mark.parametrize(("count", "concats"), [(5, 1), (6, 2), (9, 2), (10, 3), (14, 4)])
def test_a_long_concat_becomes_a_tree_in_the_same_order(count, concats):
    sketch = Sketch(*SHAPE)
    parts = [sketch.conv(f"part{number}", "x", 1 + number % 3) for number in range(count)]
    sketch.add("all", "concat", *parts, axis=1)

    after = assert_ran(split_concat, sketch.done(), concats - 1, exact=True)

    made = [node for node in after if node.op == "concat"]
    assert len(made) == concats
    assert max(len(node.inputs) for node in made) <= LARGEST_CONCAT


def test_a_gate_is_bridged_only_towards_ops_that_share_grids():
    sketch = Sketch(*SHAPE)
    sketch.add("gate", "sigmoid", "x")
    sketch.add("both", "concat", "gate", "x", axis=1)
    sketch.add("product", "mul", "gate", "x")
    sketch.add("top", "slice", "gate", axis=2, start=0, stop=4)

    after = assert_ran(separate_grids, sketch.done("both", "product", "top", "gate"), 1, exact=True)

    assert nodes(after) == [
        "gate = sigmoid(x)",
        "gate.requantize = clamp(gate) {activation=clamp(-inf,inf)}",
        "both = concat(gate.requantize, x) {axis=1}",
        "product = mul(gate, x)",
        "top = slice(gate.requantize) {axis=2, start=0, stop=4}",
    ]
    assert after.outputs == ["both", "product", "top", "gate"]


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1)])
def test_a_gate_is_bridged_towards_a_convolution_that_copies(padding):
    sketch = Sketch(*SHAPE)
    sketch.add("gate", "tanh", "x")
    ones = {"weight": torch.ones(4, 1, 1, 1)}
    sketch.weighted("picked", "conv2d", "gate", ones, groups=4, padding=padding)

    assert_ran(separate_grids, sketch.done(), 1)


def test_a_gate_before_layers_and_arithmetic_needs_no_bridge():
    sketch = Sketch(*SHAPE)
    sketch.add("gate", "sigmoid", "x")
    sketch.conv("conv", "gate", 4, kernel=1)
    sketch.add("product", "mul", "gate", "conv")

    assert_ran(separate_grids, sketch.done(), 0)
