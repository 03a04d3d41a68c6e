"""What SAME and VALID can say stays in the layer; all other padding becomes a node."""

from __future__ import annotations

import pytest

from architectures import images
from architectures.sketch import Sketch
from intaglio.ops.padding import padding_word
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.lower.express_padding import express_padding
from passes.same_function import assert_same_function, nodes, ops
from runtimes.litert.lower.settled import assert_held

SHAPE = (4, 8, 9)
X = images((1, *SHAPE), 2)
POOL = {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1, 1, 1)}


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
def test_a_max_pool_of_values_that_may_be_negative_is_left_to_its_writer(activation):
    graph = layer("max_pool2d", activation=activation, **POOL)

    assert express_padding(graph) == 0


@pytest.mark.parametrize("target", [LITERT, LITERT_REFERENCE])
def test_the_file_holds_such_a_pool_to_the_bit(target):
    assert_held(layer("max_pool2d", **POOL), target, X)
