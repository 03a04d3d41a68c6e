"""High biases move into the next layer, where that is exact."""

from __future__ import annotations

import pytest
import torch

from architectures import images
from architectures.sketch import Sketch
from intaglio.methods.structure.absorb_bias import absorb_bias
from intaglio.numerics.normal import Normal
from passes.same_function import assert_same_function

RELU = (0.0, float("inf"))
RELU6 = (0.0, 6.0)
X = images((1, 3, 8, 8), 2)


def normal(means: list[float], stds: list[float]) -> Normal:
    return Normal(*(torch.tensor(x, dtype=torch.float64) for x in (means, stds)))


def pair(activation, **second):
    """Two convolutions; channel 0 of the first is always above 50, the others are as they are."""
    sketch = Sketch(3, 8, 8)
    sketch.conv("first", "x", 4, activation=activation)
    sketch.conv("second", "first", 4, **second)
    graph = sketch.done()
    graph.params["first.bias"][0] = 100.0
    return graph


HIGH = {"first": normal([100.0, 0.0, 1.0, -5.0], [10.0, 1.0, 1.0, 1.0])}


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_what_is_always_there_moves_and_the_function_stays(groups):
    graph = pair(RELU, groups=groups)
    before = graph.copy()

    found = absorb_bias(graph, HIGH)

    assert graph.params["first.bias"][0] == 100.0 - (100.0 - 3 * 10.0)
    assert torch.equal(graph.params["first.bias"][1:], before.params["first.bias"][1:])
    assert found["first"].mean.tolist() == [30.0, 0.0, 1.0, -5.0]
    assert found["first"].std is HIGH["first"].std
    assert HIGH["first"].mean[0] == 100.0
    assert_same_function(graph, before, X)


def test_the_next_bias_takes_the_sum_of_the_column():
    graph = pair(RELU)
    expected = graph.params["second.bias"] + 70.0 * graph.params["second.weight"][:, 0].sum((1, 2))

    absorb_bias(graph, HIGH)

    torch.testing.assert_close(graph.params["second.bias"], expected)


@pytest.mark.parametrize(
    ("activation", "second"),
    [(RELU, {"padding": (0, 1, 0, 0)}), (None, {}), ((-1.0, 1.0), {}), (RELU6, {})],
)
def test_where_it_would_not_be_exact_nothing_moves(activation, second):
    graph = pair(activation, **second)
    before = dict(graph.params)

    found = absorb_bias(graph, HIGH)

    assert all(graph.params[key] is value for key, value in before.items())
    assert found["first"] is HIGH["first"]


def test_a_relu6_far_above_its_channel_is_no_hurdle():
    graph = pair(RELU6)
    graph.params["first.weight"] *= 0.01
    graph.params["first.bias"][0] = 3.0
    statistics = {"first": normal([3.0, 3.0, 0.0, 0.0], [0.4, 0.6, 1.0, 1.0])}
    before = graph.copy()

    found = absorb_bias(graph, statistics)["first"]

    assert found.mean.tolist() == [pytest.approx(1.2), 3.0, 0.0, 0.0]  # 3 + 6 * 0.6 is above 6
    assert_same_function(graph, before, X)


def test_every_reader_takes_it_also_behind_a_mean():
    sketch = Sketch(3, 8, 8)
    sketch.conv("first", "x", 4, activation=RELU)
    sketch.conv("second", "first", 2)
    sketch.add("pooled", "mean", "first", axes=(2, 3), keepdim=True)
    sketch.add("flat", "reshape", "pooled", shape=(-1, 4))
    sketch.weighted("linear", "linear", "flat", {"weight": sketch.random(5, 4)})
    graph = sketch.done("second", "linear")
    graph.params["first.bias"][0] = 100.0
    before = graph.copy()

    absorb_bias(graph, HIGH)

    assert graph.params["first.bias"][0] == 30.0
    assert_same_function(graph, before, X)


def test_an_addition_or_an_output_keeps_it():
    sketch = Sketch(3, 8, 8)
    sketch.conv("first", "x", 4, activation=RELU)
    sketch.conv("second", "first", 2)
    sketch.add("sum", "add", "first", "first")
    for outputs in (("second", "sum"), ("second", "first")):
        graph = sketch.done(*outputs).copy()
        graph.drop_unused()
        before = dict(graph.params)

        absorb_bias(graph, HIGH)

        assert all(graph.params[key] is value for key, value in before.items())
