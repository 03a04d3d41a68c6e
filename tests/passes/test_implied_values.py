"""Distributions that batch norms imply: functions of one value, independent values, samples."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from architectures.sketch import Sketch
from intaglio.ir.graph import Graph
from intaglio.numerics.normal import Normal
from intaglio.passes.channel_statistics import post_activation
from intaglio.passes.implied_values import POINTS, REACH, Implied, implied_values, value_moments
from intaglio.runtimes.litert.lower.lower import lower

INFINITE = float("inf")
RELU, RELU6 = (0.0, INFINITE), (0.0, 6.0)
MEANS, STDS = st.floats(-20.0, 20.0), st.floats(1e-3, 10.0)
GRID = 1e-4
"""Of a deviation: what a mean at POINTS places is off where a function bends sharply."""


def doubles(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def normal(*channels: tuple[float, float]) -> Normal:
    """Return channels from (mean, deviation) each."""
    means, stds = zip(*channels, strict=True)
    return Normal(doubles(*means), doubles(*stds))


def two_layers(channels: int = 1, **attrs) -> Sketch:
    """Return convolutions "a" and "b" of the input, which know nothing of each other."""
    sketch = Sketch(2, 8, 8)
    sketch.conv("a", "x", channels, **attrs)
    sketch.conv("b", "x", channels, **attrs)
    return sketch


def ends(value: Implied, reach: float = REACH) -> tuple[list[float], list[float]]:
    low, high = value.within(reach)
    return low.tolist(), high.tolist()


def integrated(
    function: Callable[[np.ndarray], np.ndarray], mean: float, std: float
) -> tuple[float, float]:
    """Return mean and deviation of a function of a normal value, on a grid of our own."""
    places = np.linspace(-12.0, 12.0, 400_001)
    shares = np.exp(-0.5 * places * places)
    shares /= shares.sum()
    values = function(mean + std * places)
    middle = shares @ values
    return float(middle), float(np.sqrt(shares @ (values - middle) ** 2))


def hard_swish(x: np.ndarray) -> np.ndarray:
    return x * np.clip(x + 3.0, 0.0, 6.0) / 6.0


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1.0 + np.exp(-x))


def test_a_stated_value_behind_a_relu_has_the_moments_of_the_closed_form():
    sketch = two_layers(3, activation=RELU)

    found = implied_values(sketch.done(), {"a": normal((0.0, 1.0), (1.0, 1.0), (-3.0, 0.0))})

    moments = found["a"].moments
    assert moments.mean.tolist() == pytest.approx([0.3989422804, 1.0833154706, 0.0], abs=1e-9)
    half = 0.5 - 0.5 / math.pi
    assert moments.std[0].item() == pytest.approx(math.sqrt(half), abs=1e-9)
    assert moments.std[2] == 0.0
    assert found["a"].root == "a"


def test_what_a_stated_value_reaches_ends_at_its_clamp():
    sketch = two_layers(4, activation=RELU6)
    stated = normal((1.0, 2.0), (1.0, 0.5), (-9.0, 1.0), (9.0, 1.0))

    value = implied_values(sketch.done(), {"a": stated})["a"]

    assert ends(value, 6.0) == ([0.0, 0.0, 0.0, 3.0], [6.0, 4.0, 0.0, 6.0])
    assert ends(value, 1.0) == ([0.0, 0.5, 0.0, 6.0], [3.0, 1.5, 0.0, 6.0])


def test_without_a_clamp_it_reaches_as_many_deviations_to_either_side():
    value = implied_values(two_layers(2).done(), {"a": normal((1.0, 2.0), (-4.0, 0.0))})["a"]

    assert ends(value, 6.0) == ([-11.0, -4.0], [13.0, -4.0])
    assert ends(value, 0.5) == ([0.0, -4.0], [2.0, -4.0])


def test_what_is_stated_of_a_value_counts_and_not_what_its_inputs_say():
    sketch = two_layers()
    sketch.conv("second", "a", 1)

    found = value_moments(sketch.done(), {"a": normal((9.0, 9.0)), "second": normal((1.0, 2.0))})

    assert (found["second"].mean.item(), found["second"].std.item()) == (1.0, 2.0)


@settings(max_examples=30, deadline=None)
@given(mean=MEANS, std=STDS, low=st.floats(-8.0, 0.0), high=st.floats(0.0, 8.0))
def test_a_clamp_of_its_own_gives_what_a_fused_one_does(mean, std, low, high):
    sketch = two_layers()
    sketch.add("clamped", "clamp", "a", activation=(low, high))

    value = implied_values(sketch.done(), {"a": normal((mean, std))})["clamped"]

    fused = post_activation(normal((mean, std)), (low, high))
    assert value.root == "a"
    assert value.moments.mean.item() == pytest.approx(fused.mean.item(), abs=GRID * std)
    # E[x^2] is off by as little; near 0 its root is off by the root of that
    square = value.moments.std.item() ** 2
    assert square == pytest.approx(fused.std.item() ** 2, abs=GRID * std * std)
    reached = [min(max(mean + side * REACH * std, low), high) for side in (-1.0, 1.0)]
    assert [end[0] for end in ends(value)] == pytest.approx(reached)


def swish_by_hand(gate_of: str = "a") -> Graph:
    """Return a * relu6(gate_of + 3) / 6: hard swish, where gate_of is a."""
    sketch = two_layers()
    sketch.constant("three", torch.tensor(3.0))
    sketch.add("gate", "add", gate_of, "three", activation=RELU6)
    sketch.add("product", "mul", "a", "gate")
    sketch.add("swish", "rescale", "product", factor=1.0 / 6.0)
    return sketch.done("swish", "b")


def swish_lowered() -> Graph:
    sketch = two_layers()
    sketch.add("swish", "hard_swish", "a")
    graph = sketch.done("swish", "b")
    lower(graph)
    assert "mul" in {node.op for node in graph}
    return graph


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-2.0, 0.75), (1.5, 3.0), (-1.0, 0.125)])
@pytest.mark.parametrize("made", [swish_by_hand, swish_lowered])
def test_a_gate_and_what_it_multiplies_are_known_to_go_together(made, mean, std):
    value = implied_values(made(), {"a": normal((mean, std)), "b": normal((mean, std))})["swish"]

    assert value.root == "a"
    found = value.moments.mean.item(), value.moments.std.item()
    assert found == pytest.approx(integrated(hard_swish, mean, std), abs=GRID * std)
    low = ends(value)[0][0]
    # hard swish is -0.375 + (x + 1.5)^2 / 6 there, and -1.5 half the way between two points at most
    assert -0.375 - 1e-9 <= low <= -0.375 + (std * REACH / (POINTS - 1)) ** 2 / 6.0 + 1e-9


def test_a_gate_that_another_value_opens_is_taken_as_independent():
    stated = normal((0.0, 1.0))
    found = implied_values(swish_by_hand("b"), {"a": stated, "b": stated})

    assert found["gate"].root == "b"
    assert found["product"].root == "product"
    assert found["product"].moments.mean.item() == 0.0  # together it is E[x relu6(x + 3)] = 1.1
    assert found["swish"].within(6.0)[0].item() < -1.0


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-3.0, 2.0), (4.0, 0.5)])
def test_silu_has_the_moments_of_a_numerical_integration(mean, std):
    sketch = two_layers()
    sketch.add("gate", "sigmoid", "a")
    sketch.add("silu", "mul", "a", "gate")

    value = implied_values(sketch.done(), {"a": normal((mean, std))})["silu"]

    found = value.moments.mean.item(), value.moments.std.item()
    assert found == pytest.approx(integrated(silu, mean, std), abs=1e-8)  # it bends nowhere
    assert ends(value)[0][0] >= -0.2784645428
    assert value.root == "a"


def test_a_product_of_two_values_has_the_moments_that_numbers_at_random_have():
    sketch = two_layers()
    sketch.add("product", "mul", "a", "b")
    count = 400_000
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn((2, count), generator=generator, dtype=torch.float64)
    expected = (2.0 + 0.5 * noise[0]) * (-1.0 + 3.0 * noise[1])

    value = implied_values(sketch.done(), {"a": normal((2.0, 0.5)), "b": normal((-1.0, 3.0))})

    moments = value["product"].moments
    assert moments.mean.item() == -2.0
    assert moments.std.item() == pytest.approx(math.sqrt(0.25 * 9.0 + 0.25 * 1.0 + 9.0 * 4.0))
    # five standard errors of so many numbers
    error = 5.0 * expected.std().item() / math.sqrt(count)
    assert moments.mean.item() == pytest.approx(expected.mean().item(), abs=error)
    assert moments.std.item() == pytest.approx(expected.std().item(), abs=error)


def test_a_product_of_two_values_that_are_never_negative_is_never_negative():
    sketch = two_layers(activation=RELU)
    sketch.add("product", "mul", "a", "b")

    value = implied_values(sketch.done(), {"a": normal((0.0, 1.0)), "b": normal((1.0, 2.0))})

    low, high = ends(value["product"])
    assert low == [0.0]
    assert 0.0 < high[0] <= 8.0 * 17.0


def test_a_sum_of_two_values_adds_variances_and_a_sum_with_itself_deviations():
    sketch = two_layers()
    sketch.add("two", "add", "a", "b")
    sketch.add("difference", "sub", "a", "b")
    sketch.add("twice", "add", "a", "a")

    found = implied_values(sketch.done(), {"a": normal((1.0, 3.0)), "b": normal((2.0, 4.0))})

    moments = {name: value.moments for name, value in found.items()}
    assert (moments["two"].mean.item(), moments["two"].std.item()) == (3.0, 5.0)
    assert (moments["difference"].mean.item(), moments["difference"].std.item()) == (-1.0, 5.0)
    assert moments["twice"].mean.item() == 2.0
    assert moments["twice"].std.item() == pytest.approx(6.0, abs=1e-9)
    assert (found["two"].root, found["twice"].root) == ("two", "a")


def test_a_value_minus_itself_is_nothing_and_minus_another_one_alike_is_something():
    sketch = two_layers(2)
    sketch.add("nothing", "sub", "a", "a")
    sketch.add("something", "sub", "a", "b")
    stated = normal((1.5, 3.0), (-7.0, 0.1))

    found = implied_values(sketch.done(), {"a": stated, "b": stated})

    assert ends(found["nothing"]) == ([0.0, 0.0], [0.0, 0.0])
    assert found["nothing"].moments.mean.tolist() == [0.0, 0.0]
    assert found["nothing"].moments.std.tolist() == [0.0, 0.0]
    torch.testing.assert_close(found["something"].moments.std, stated.std * math.sqrt(2.0))


def test_a_function_behind_a_sum_is_one_of_the_sum():
    sketch = two_layers()
    sketch.add("sum", "add", "a", "b")
    sketch.add("gate", "sigmoid", "sum")
    sketch.add("silu", "mul", "sum", "gate")
    sketch.add("apart", "mul", "a", "gate")

    found = implied_values(sketch.done(), {"a": normal((1.0, 3.0)), "b": normal((2.0, 4.0))})

    assert found["silu"].root == "sum"
    assert found["silu"].moments.mean.item() == pytest.approx(integrated(silu, 3.0, 5.0)[0])
    assert found["apart"].root == "apart"  # the sum holds a, but is no function of it


POOLS = {
    "avg_pool2d": {"kernel": (2, 2)},
    "max_pool2d": {"kernel": (3, 3), "padding": (1, 1, 1, 1)},
    "adaptive_avg_pool2d": {"size": (1, 1)},
    "mean": {"axes": (2, 3), "keepdim": True},
    "resize": {"size": (12, 12)},
    "pad": {"padding": (1, 1, 1, 1, 0, 2)},
    "slice": {"axis": 2, "start": 0, "stop": 3},
    "reshape": {"shape": (-1, 36)},
    "concat": {"axis": 1},
}


@pytest.mark.parametrize("op", POOLS)
@settings(max_examples=10, deadline=None)
@given(mean=MEANS, std=STDS)
def test_what_moves_or_averages_a_value_that_is_never_negative_is_never_negative(op, mean, std):
    sketch = two_layers(activation=RELU6)
    sketch.add("moved", op, "a", **POOLS[op])

    found = implied_values(sketch.done(), {"a": normal((mean, std))})

    low, high = found["moved"].within(REACH)
    assert low.min() >= 0.0
    assert high.max() <= 6.0
    mean_of = found["a"].moments.mean.item()
    assert found["moved"].moments.mean.amax().item() == pytest.approx(mean_of)
    assert found["moved"].root == "moved"


@pytest.mark.parametrize("op", POOLS)
def test_what_moves_or_averages_a_value_of_both_signs_has_both(op):
    sketch = two_layers()
    sketch.add("moved", op, "a", **POOLS[op])

    found = implied_values(sketch.done(), {"a": normal((0.5, 1.0))})

    low, high = found["moved"].within(6.0)
    assert (low.amin().item(), high.amax().item()) == (-5.5, 6.5)


def test_channels_of_padding_are_zeros_and_filling_of_another_number_is_not_followed():
    sketch = two_layers(activation=(1.0, 9.0))
    sketch.add("zeros", "pad", "a", padding=(0, 0, 0, 0, 1, 2))
    sketch.add("ones", "pad", "a", padding=(1, 1, 1, 1), value=1.0)

    found = implied_values(sketch.done("zeros", "ones"), {"a": normal((5.0, 0.25))})

    assert found["zeros"].moments.mean.tolist() == [0.0, 5.0, 0.0, 0.0]
    assert found["zeros"].moments.std.tolist() == [0.0, 0.25, 0.0, 0.0]
    assert ends(found["zeros"], 4.0) == ([0.0, 4.0, 0.0, 0.0], [0.0, 6.0, 0.0, 0.0])
    assert "ones" not in found


@functools.cache
def many_functions() -> Graph:
    sketch = two_layers(activation=(-30.0, 30.0))
    sketch.constant("offset", torch.full((1, 1, 1, 1), 0.1))
    sketch.add("shifted", "add", "a", "offset")
    sketch.add("gate", "hard_sigmoid", "shifted")
    sketch.add("swish", "mul", "shifted", "gate")
    sketch.add("seventh", "rescale", "swish", factor=1.0 / 7.0)
    sketch.clamp("positive", "seventh")
    sketch.add("left", "sub", "seventh", "positive")
    sketch.add("pool", "avg_pool2d", "left", kernel=(2, 2))
    return sketch.done()


@settings(max_examples=25, deadline=None)
@given(mean=st.floats(-50.0, 50.0))
def test_a_constant_stays_one_through_every_function_of_it(mean):
    found = implied_values(many_functions(), {"a": normal((mean, 0.0))})

    for name, value in found.items():
        assert value.moments.std.item() == 0.0, name
        number = value.moments.mean.item()
        assert ends(value) == ([number], [number]), name
    start = min(max(mean, -30.0), 30.0) + torch.tensor(0.1).item()
    expected = float(hard_swish(np.float64(start))) / 7.0
    assert found["seventh"].moments.mean.item() == pytest.approx(expected, abs=1e-12)


def test_of_what_lies_behind_an_input_nothing_is_implied():
    sketch = two_layers(2)
    sketch.clamp("positive", "x")
    sketch.add("gate", "sigmoid", "x")
    sketch.conv("blind", "positive", 2, kernel=1)
    sketch.add("sum", "add", "gate", "positive")
    sketch.conv("same", "x", 2, kernel=1)
    sketch.add("mixed", "mul", "same", "x")
    sketch.add("both", "add", "x", "same")
    graph = sketch.done("a", "b", "blind", "sum", "mixed", "both")

    assert implied_values(graph, {}) == {}
    assert set(implied_values(graph, {"same": normal((0.0, 1.0), (0.0, 1.0))})) == {"same"}


@pytest.mark.parametrize("op", ["add", "sub", "mul"])
def test_of_a_constant_that_differs_from_place_to_place_nothing_follows(op):
    sketch = two_layers(2, kernel=1)
    sketch.constant("map", sketch.random(1, 2, 8, 8))
    sketch.constant("row", sketch.random(1, 1, 1, 8))
    sketch.constant("channels", sketch.random(1, 2, 1, 1))
    sketch.add("over_map", op, "a", "map")
    sketch.add("over_row", op, "row", "a")
    sketch.add("over_channels", op, "a", "channels")
    sketch.add("behind", "sigmoid", "over_map")
    sketch.conv("again", "behind", 2)
    graph = sketch.done("b", "over_row", "over_channels", "again")
    stated = normal((1.0, 2.0), (3.0, 4.0))

    found = implied_values(graph, {"a": stated, "again": stated})

    assert set(found) == {"a", "over_channels", "again"}


def test_a_constant_for_each_channel_shifts_and_scales_it():
    sketch = two_layers(2)
    sketch.constant("offset", torch.tensor([[[1.0]], [[-2.0]]]))
    sketch.constant("gain", torch.tensor([[[[4.0]], [[-0.5]]]]))
    sketch.add("shifted", "sub", "offset", "a")
    sketch.add("scaled", "mul", "shifted", "gain", activation=(-100.0, 8.0))

    found = implied_values(sketch.done(), {"a": normal((1.0, 2.0), (3.0, 4.0))})

    assert ends(found["shifted"], 2.0) == ([-4.0, -13.0], [4.0, 3.0])
    assert ends(found["scaled"], 2.0) == ([-16.0, -1.5], [8.0, 6.5])
    torch.testing.assert_close(found["shifted"].moments.mean, doubles(0.0, -5.0))
    torch.testing.assert_close(found["shifted"].moments.std, doubles(2.0, 4.0))


def test_a_function_that_is_not_finite_everywhere_is_not_followed():
    sketch = two_layers()
    sketch.add("logarithm", "function", "a", chain=(("log",),))
    sketch.add("exponential", "function", "a", chain=(("exp",),))
    sketch.add("quotient", "div", "a", "b")
    graph = sketch.done("logarithm", "exponential", "quotient")

    found = value_moments(graph, {"a": normal((0.5, 0.25)), "b": normal((1.0, 0.01))})

    assert set(found) == {"a", "b", "exponential"}
    # the log-normal distribution's
    expected = math.exp(0.5 + 0.5 * 0.25**2)
    assert found["exponential"].mean.item() == pytest.approx(expected, rel=1e-9)


def test_a_layer_without_statistics_maps_means_and_adds_variances():
    sketch = two_layers(3, kernel=1)
    sketch.conv("mixed", "a", 4, kernel=1, activation=RELU)
    graph = sketch.done()
    weight = graph.params["mixed.weight"].flatten(1).double()
    bias = graph.params["mixed.bias"].double()
    mean, std = doubles(1.0, -2.0, 0.5), doubles(0.5, 2.0, 0.0)

    found = implied_values(graph, {"a": Normal(mean, std)})["mixed"]

    before = Normal(weight @ mean + bias, (weight.square() @ std.square()).sqrt())
    expected = post_activation(before, RELU)
    torch.testing.assert_close(found.moments.mean, expected.mean)
    torch.testing.assert_close(found.moments.std, expected.std)
    torch.testing.assert_close(found.within(6.0)[1], before.upper(6.0).relu())


@functools.cache
def smooth_and_bent() -> Graph:
    sketch = two_layers()
    sketch.add("squashed", "tanh", "a")
    sketch.add("swish", "hard_swish", "a")
    return sketch.done()


@settings(max_examples=25, deadline=None)
@given(mean=MEANS, std=STDS, reaches=st.tuples(st.floats(0.1, REACH), st.floats(0.1, REACH)))
def test_what_is_reached_grows_with_the_reach_and_holds_the_mean(mean, std, reaches):
    for value in implied_values(smooth_and_bent(), {"a": normal((mean, std))}).values():
        (near_low, near_high), (low, high) = (value.within(reach) for reach in sorted(reaches))
        assert low <= near_low <= near_high <= high
        least, most = value.within(REACH)
        rounding = 1e-12 * (1.0 + abs(mean) + std)
        assert least - rounding <= value.moments.mean <= most + rounding
