"""Taken entries: by the layer before, by slices, or by a GATHER that is left."""

from __future__ import annotations

import pytest

from architectures import images
from architectures.sketch import Sketch
from intaglio.runtimes.litert.lower.lower_take import lower_take
from passes.same_function import assert_same_function, ops

SHAPE = (4, 6, 6)
X = images((1, *SHAPE), 2)


@pytest.mark.parametrize("indices", [(2, 0, 1, 3), (3, 3, 0), (1,)])
def test_the_layer_before_makes_its_channels_in_the_order_that_is_wanted(indices) -> None:
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4, activation=(0.0, 6.0))
    sketch.add("taken", "take", "conv", axis=1, indices=indices)
    sketch.conv("next", "taken", 3)
    graph = sketch.done()
    before = graph.copy()

    assert lower_take(graph) == 1

    assert ops(graph) == ["conv2d", "conv2d"]
    assert graph["conv"].channels == len(indices)
    assert_same_function(graph, before, X)


def test_a_linear_layer_makes_its_last_axis_in_the_order_that_is_wanted() -> None:
    sketch = Sketch(3, 5)
    weights = {"weight": sketch.random(7, 5), "bias": sketch.random(7)}
    sketch.weighted("linear", "linear", "x", weights)
    sketch.add("taken", "take", "linear", axis=2, indices=(6, 0, 2, 4, 1, 3, 5))
    graph = sketch.done()
    before = graph.copy()

    lower_take(graph)

    assert ops(graph) == ["linear"]
    assert_same_function(graph, before, images((1, 3, 5), 2))


@pytest.mark.parametrize(
    ("axis", "indices", "expected"),
    [
        (1, (1, 2, 3), ["slice"]),
        (1, (2, 1, 0), ["slice", "slice", "slice", "concat"]),
        (3, (4, 5, 0, 1), ["slice", "slice", "concat"]),
        (2, (0, 2, 4, 1, 3, 5), ["take"]),
    ],
)
def test_few_pieces_are_cut_and_joined(axis, indices, expected) -> None:
    sketch = Sketch(*SHAPE)
    sketch.add("taken", "take", "x", axis=axis, indices=indices)
    graph = sketch.done()
    before = graph.copy()

    lower_take(graph)

    assert ops(graph) == expected
    assert_same_function(graph, before, X, exact=True)


@pytest.mark.parametrize("change", ["another reader", "groups"])
def test_a_layer_that_others_read_or_that_has_groups_keeps_its_order(change) -> None:
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4, 1, groups=2 if change == "groups" else 1)
    sketch.add("taken", "take", "conv", axis=1, indices=(3, 2, 1, 0))
    sketch.add("sum", "add", "taken", "conv" if change == "another reader" else "x")
    graph = sketch.done()
    before = graph.copy()

    lower_take(graph)

    assert ops(graph) == ["conv2d", "slice", "slice", "slice", "slice", "concat", "add"]
    assert_same_function(graph, before, X)
