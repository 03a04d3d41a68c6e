"""A layer of several kinds of channels becomes one a kind, and the network's function stays."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from architectures import images
from architectures.sketch import Sketch
from intaglio.errors import GraphError
from intaglio.ops.traits import WEIGHTED
from intaglio.passes.split_channels import joined_channels, split_channels
from intaglio.run.float import run_float
from passes.same_function import assert_same_function, nodes

X = images((2, 3, 6, 6), 6)
KINDS = {"boxes": [0, 1, 4, 5], "scores": [2, 3, 6, 7]}


def ending(out=8, **attrs):
    """A network that ends in one convolution, which is its output."""
    sketch = Sketch(3, 6, 6)
    sketch.conv("stem", "x", 5, 1, activation=(0.0, float("inf")))
    sketch.conv("head", "stem", out, 1, **attrs)
    return sketch.done()


def test_each_kind_has_its_layer_and_the_old_name_is_the_concatenation():
    graph = ending()

    made = split_channels(graph, {"head": KINDS})

    assert made == {"head": {"boxes": "head.boxes", "scores": "head.scores"}}
    assert nodes(graph) == [
        "stem = conv2d(x) {activation=relu}",
        "head.boxes = conv2d(stem)",
        "head.scores = conv2d(stem)",
        "head.boxes.0 = slice(head.boxes) {axis=1, start=0, stop=2}",
        "head.scores.0 = slice(head.scores) {axis=1, start=0, stop=2}",
        "head.boxes.2 = slice(head.boxes) {axis=1, start=2, stop=4}",
        "head.scores.2 = slice(head.scores) {axis=1, start=2, stop=4}",
        "head = concat(head.boxes.0, head.scores.0, head.boxes.2, head.scores.2) {axis=1}",
    ]
    assert graph.outputs == ["head"]
    assert {node.source for node in graph if node.name.startswith("head")} == {"layer.head"}
    assert not [key for key in graph.params if key in ("head.weight", "head.bias")]


def test_a_kind_that_is_one_run_needs_no_slice():
    graph = ending()

    split_channels(graph, {"head": {"boxes": [0, 1, 2], "scores": [3, 4, 5, 6, 7]}})

    assert nodes(graph)[-1] == "head = concat(head.boxes, head.scores) {axis=1}"


@pytest.mark.parametrize(
    "attrs", [{}, {"activation": (0.0, 6.0)}, {"stride": (2, 2)}, {"padding": (1, 0, 0, 1)}]
)
def test_a_convolution_computes_the_same_with_all_its_settings(attrs):
    graph = ending(**attrs)
    before = graph.copy()

    split_channels(graph, {"head": KINDS})

    assert_same_function(graph, before, X)
    assert graph["head"].shape == before["head"].shape


@pytest.mark.parametrize("places", [(), (4,)])
def test_channels_of_a_linear_layer_are_its_last_axis(places):
    sketch = Sketch(3, 6, 6)
    sketch.add("flat", "reshape", "x", shape=(-1, *places, 108 // (4 if places else 1)))
    weights = {"weight": sketch.random(8, 27 if places else 108), "bias": sketch.random(8)}
    sketch.weighted("head", "linear", "flat", weights)
    graph = sketch.done()
    before = graph.copy()

    split_channels(graph, {"head": KINDS})

    assert graph["head"].attrs == {"axis": 1 + len(places)}
    assert_same_function(graph, before, X)


def test_a_transposed_convolution_has_its_outputs_on_the_second_axis():
    sketch = Sketch(3, 6, 6)
    weights = {"weight": sketch.random(3, 8, 2, 2), "bias": sketch.random(8)}
    sketch.weighted("head", "conv_transpose2d", "x", weights, stride=(2, 2))
    graph = sketch.done()
    before = graph.copy()

    split_channels(graph, {"head": KINDS})

    assert_same_function(graph, before, X)


@settings(deadline=None, max_examples=30)
@given(owners=st.lists(st.sampled_from("abc"), min_size=8, max_size=8))
def test_whatever_channel_is_of_whatever_kind_the_order_stays(owners):
    kinds = {kind: [c for c, own in enumerate(owners) if own == kind] for kind in set(owners)}
    graph = ending()
    # whole numbers, whose sums float32 holds exactly: what is equal is equal to the bit
    graph.params = {key: (8 * value).round() for key, value in graph.params.items()}
    before = graph.copy()

    split_channels(graph, {"head": kinds})

    x = (4 * X).round()
    assert torch.equal(run_float(graph, x)[0], run_float(before, x)[0])


@pytest.mark.parametrize("op", ["conv2d", "conv_transpose2d", "linear"])
def test_weights_of_the_kinds_are_joined_to_what_they_were(op):
    sketch, shapes = Sketch(3, 6, 6), {"conv2d": (8, 3, 1, 1), "conv_transpose2d": (3, 8, 1, 1)}
    weights = {"weight": sketch.random(*shapes.get(op, (8, 6))), "bias": sketch.random(8)}
    sketch.weighted("head", op, "x", weights)
    before = sketch.done()
    graph = before.copy()

    made = split_channels(graph, {"head": KINDS})["head"]

    assert WEIGHTED[op] == weights["weight"].shape.index(8)
    for role, value in weights.items():
        parts = {kind: graph.param(graph[name], role) for kind, name in made.items()}
        assert torch.equal(joined_channels(before, "head", parts, KINDS), value)


def test_a_weight_that_layers_share_stays_with_the_other():
    graph = ending()
    other = graph["head"]
    graph.add(type(other)("other", "conv2d", ["stem"], dict(other.params), dict(other.attrs)))
    graph["other"].shape = other.shape
    graph.outputs.append("other")
    before = graph.copy()

    split_channels(graph, {"head": KINDS})

    assert graph["other"].params == before["other"].params
    assert_same_function(graph, before, X)


def test_what_reads_the_layer_reads_the_concatenation():
    sketch = Sketch(3, 6, 6)
    sketch.conv("head", "x", 8, 1)
    sketch.add("sigmoid", "sigmoid", "head")
    graph = sketch.done("head", "sigmoid")
    before = graph.copy()

    split_channels(graph, {"head": KINDS})

    assert graph["sigmoid"].inputs == ["head"]
    assert_same_function(graph, before, X)


def test_one_kind_and_groups_of_channels_and_ops_without_a_weight_stay():
    sketch = Sketch(3, 6, 6)
    sketch.conv("one", "x", 8, 1)
    sketch.conv("grouped", "one", 8, 1, groups=2)
    sketch.add("sigmoid", "sigmoid", "grouped")
    graph = sketch.done()
    before = nodes(graph)

    assert not split_channels(
        graph, {"one": {"all": list(range(8))}, "grouped": KINDS, "sigmoid": KINDS}
    )

    assert nodes(graph) == before


@pytest.mark.parametrize(
    "kinds",
    [
        {"boxes": [0, 1, 2], "scores": [4, 5, 6, 7]},
        {"boxes": [0, 1, 2, 3], "scores": [3, 4, 5, 6, 7]},
        {"boxes": [0, 1, 2, 3], "scores": [4, 5, 6, 7, 8]},
        {"boxes": [], "scores": list(range(8))},
    ],
)
def test_channels_of_no_kind_or_of_two_are_refused_and_nothing_is_changed(kinds):
    graph = ending()
    before = nodes(graph)

    with pytest.raises(GraphError, match="its 8 channels must each be of one kind"):
        split_channels(graph, {"head": kinds})

    assert nodes(graph) == before


def test_a_layer_that_is_not_there_is_refused_by_name():
    with pytest.raises(GraphError, match="cannot split 'tail': there is no such layer"):
        split_channels(ending(), {"tail": KINDS})
