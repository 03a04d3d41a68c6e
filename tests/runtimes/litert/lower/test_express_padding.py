"""What SAME and VALID can say stays in the layer; all other padding becomes a node."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from architectures import images
from architectures.sketch import Sketch
from intaglio.runtimes.litert.lower.express_padding import (
    express_padding,
    padding_word,
    same_padding,
)
from passes.same_function import assert_same_function, nodes, ops

SHAPE = (4, 8, 9)
X = images((1, *SHAPE), 2)
POOL = {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1, 1, 1)}


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 5), st.integers(1, 3))
def test_same_is_the_least_padding_that_gives_as_many_results_as_strides_fit(
    size, kernel, stride, dilation
):
    reach = (kernel - 1) * dilation + 1
    wanted = len(range(0, size, stride))
    total = 0
    while len(range(0, size + total - reach + 1, stride)) < wanted:
        total += 1

    top, bottom, left, right = same_padding((size, 1), (kernel, 1), (stride, 1), (dilation, 1))

    assert top + bottom == total
    assert bottom - top in (0, 1)  # an odd rest lies behind
    assert (left, right) == (0, 0)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [
        (224, 3, 2, (0, 1)),  # MobileNet's first layer in TensorFlow
        (225, 3, 2, (1, 1)),
        (7, 3, 1, (1, 1)),
        (8, 5, 2, (1, 2)),
        (6, 2, 2, (0, 0)),
        (5, 1, 3, (0, 0)),
    ],
)
def test_same_padding_of_known_layers(size, kernel, stride, expected):
    both = same_padding((size, size), (kernel, kernel), (stride, stride), (1, 1))

    assert both == (*expected, *expected)


def layer(op: str = "conv2d", *, activation=None, **attrs):
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4, kernel=1, activation=activation)
    if op == "conv2d":
        sketch.conv("layer", "conv", 4, **attrs)
    else:
        sketch.add("layer", op, "conv", **attrs)
    return sketch.done()


@pytest.mark.parametrize(
    ("attrs", "word"),
    [
        ({"padding": (0, 0, 0, 0)}, "VALID"),
        ({"padding": (1, 1, 1, 1)}, "SAME"),
        ({"padding": (0, 1, 1, 1), "stride": (2, 2)}, "SAME"),  # 8 x 9 by 3 x 3
        ({"padding": (2, 2, 2, 2), "dilation": (2, 2)}, "SAME"),
        ({"padding": (1, 1, 1, 1), "stride": (2, 2)}, None),
        ({"padding": (1, 0, 1, 1), "stride": (2, 2)}, None),
        ({"padding": (2, 2, 2, 2)}, None),
        ({"padding": (1, 1, 0, 0)}, None),
    ],
)
def test_only_padding_without_a_word_becomes_a_node(attrs, word):
    graph = layer(**attrs)
    before = graph.copy()

    assert padding_word(graph, graph["layer"]) == word
    assert express_padding(graph) == (word is None)

    assert ops(graph).count("pad") == (word is None)
    assert padding_word(graph, graph["layer"]) is not None
    assert_same_function(graph, before, X)


def test_the_node_pads_height_and_width_as_the_layer_did():
    graph = layer(padding=(1, 2, 3, 4))

    express_padding(graph)

    assert nodes(graph)[1:] == [
        "layer.pad = pad(conv) {padding=(3,4,1,2), value=0}",
        "layer = conv2d(layer.pad)",
    ]
    assert graph["layer.pad"].shape[1:] == (4, 8 + 3, 9 + 7)
    assert express_padding(graph) == 0


def test_a_max_pool_of_values_that_are_never_negative_is_padded_with_zeros():
    graph = layer("max_pool2d", activation=(0.0, float("inf")), **POOL)
    before = graph.copy()

    assert express_padding(graph) == 1

    assert ops(graph) == ["conv2d", "pad", "max_pool2d"]
    assert_same_function(graph, before, X, exact=True)


@pytest.mark.parametrize("activation", [None, (-1.0, 1.0)])
def test_a_max_pool_of_values_that_may_be_negative_is_left_alone(activation):
    graph = layer("max_pool2d", activation=activation, **POOL)

    assert express_padding(graph) == 0
    assert padding_word(graph, graph["layer"]) is None


def test_a_max_pool_of_the_input_is_left_alone():
    sketch = Sketch(*SHAPE)
    sketch.add("pool", "max_pool2d", "x", **POOL)

    assert express_padding(sketch.done()) == 0


@pytest.mark.parametrize("second", ["relu", "sigmoid", "neither"])
def test_through_ops_that_move_values_every_source_counts(second):
    sketch = Sketch(*SHAPE)
    sketch.conv("first", "x", 4, kernel=1, activation=(0.0, 6.0))
    if second == "sigmoid":
        sketch.add("second", "sigmoid", "x")
    else:
        activation = (0.0, 6.0) if second == "relu" else None
        sketch.conv("second", "x", 4, kernel=1, activation=activation)
    sketch.add("both", "concat", "first", "second", axis=1)
    sketch.add("half", "rescale", "both", factor=0.5)
    sketch.add("inner", "max_pool2d", "half", kernel=(2, 2))
    sketch.add("pool", "max_pool2d", "inner", **POOL)
    graph = sketch.done()
    before = graph.copy()

    assert express_padding(graph) == (second != "neither")

    assert_same_function(graph, before, X, exact=True)


def test_a_max_pool_that_same_can_say_keeps_its_padding_whatever_its_values():
    attrs = {"kernel": (3, 3), "padding": (1, 1, 1, 1)}

    assert express_padding(layer("max_pool2d", **attrs)) == 0
