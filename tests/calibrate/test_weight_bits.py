"""Which layers get how many bits."""

from __future__ import annotations

import pytest
import torch

from architectures.sketch import Sketch
from calibrate.planned import plan_of
from intaglio.calibrate import low_bit_layers
from intaglio.calibrate.encodings import trial_encodings
from intaglio.calibrate.weight_bits import SMALL_LAYER, SMALL_SHARE, unmet_bits
from intaglio.errors import UnknownName, UnsupportedByTarget
from intaglio.ir.graph import Graph
from intaglio.numerics.scheme import parse_scheme
from intaglio.runtimes import LITERT

SHAPE = (128, 4, 4)
DEPLOYABLE = ("w8a8", "w4a8", "w2a8", "mixed")


def network() -> Graph:
    """One layer of each kind; "large" and "head" alone have 10,000 weights in a matrix product."""
    sketch = Sketch(*SHAPE)
    sketch.conv("large", "x", 128, kernel=1)
    sketch.conv("small", "large", 16, kernel=1)
    sketch.conv("odd", "small", 9, kernel=1)
    sketch.conv("from_odd", "odd", 6, kernel=1)
    sketch.conv("from_even", "from_odd", 128, kernel=1)
    sketch.conv("window", "from_even", 128, kernel=3, padding=(1, 1, 1, 1))
    sketch.conv("depthwise", "window", 128, kernel=1, groups=128)
    sketch.conv("grouped", "depthwise", 256, kernel=1, groups=2)
    sketch.conv("strided", "grouped", 128, kernel=1, stride=(2, 2))
    sketch.conv("padded", "strided", 128, kernel=1, padding=(1, 1, 1, 1))
    sketch.conv("dilated", "padded", 64, kernel=1, dilation=(2, 2))
    weight = {"weight": sketch.random(64, 160, 2, 2)}
    sketch.weighted("up", "conv_transpose2d", "dilated", weight, stride=(2, 2))
    sketch.add("mean", "mean", "up", axes=(2, 3), keepdim=False)
    sketch.weighted("head", "linear", "mean", {"weight": sketch.random(100, 160)})
    return sketch.done()


def bits_of(scheme: str, graph: Graph | None = None, **asked: int) -> dict[str, int]:
    plan = plan_of(graph or network(), LITERT, scheme, weight_bits=asked)
    return {name: spec.bits for name, spec in plan.weights.items()}


def test_a_file_can_hold_low_bits_in_pointwise_convolutions_and_linear_layers():
    wide = ["large", "small", "odd", "dilated", "head"]

    assert low_bit_layers(network(), LITERT) == wide
    assert low_bit_layers(network(), LITERT, 2) == wide
    assert low_bit_layers(network(), LITERT, 4) == [*wide[:3], "from_even", *wide[3:]]


@pytest.mark.parametrize(("scheme", "bits"), [("w4a8", 4), ("w2a8", 2)])
@pytest.mark.parametrize("suffix", ["", "-per-tensor"])
def test_a_scheme_gives_its_bits_to_large_layers_that_can_have_them(scheme, bits, suffix):
    found = bits_of(scheme + suffix)

    assert {name for name, width in found.items() if width != 8} == {"large", "head"}
    assert found["large"] == found["head"] == bits


@pytest.mark.parametrize("scheme", ["w8a8", "mixed"])
def test_without_a_word_about_layers_w8a8_and_mixed_have_8_bits_everywhere(scheme):
    assert set(bits_of(scheme).values()) == {8}


def test_a_small_layer_is_one_with_fewer_than_ten_thousand_weights():
    assert SMALL_LAYER == 10_000
    sketch = Sketch(1000, 1, 1)
    sketch.conv("large", "x", 1000, kernel=1)
    sketch.conv("narrow", "large", 98, kernel=1)
    sketch.conv("just_small", "narrow", 102, kernel=1)
    sketch.conv("just_large", "just_small", 100, kernel=1)

    assert bits_of("w4a8", sketch.done()) == {
        "large": 4,
        "narrow": 4,
        "just_small": 8,
        "just_large": 4,
    }


def test_small_layers_keep_8_bits_until_they_are_a_twentieth_of_all_weights():
    assert SMALL_SHARE == 0.05
    sketch = Sketch(10, 1, 1)
    sketch.conv("of_100", "x", 10, kernel=1)
    sketch.conv("of_80", "of_100", 8, kernel=1)
    sketch.conv("of_1600", "of_80", 200, kernel=1)
    sketch.conv("of_2000", "of_1600", 10, kernel=1)

    assert bits_of("w4a8", sketch.done()) == {  # a twentieth of 3,780 is 189
        "of_100": 8,
        "of_80": 8,
        "of_1600": 4,
        "of_2000": 4,
    }


def test_a_scheme_whose_bits_no_layer_can_have_is_told():
    sketch = Sketch(4, 8, 8)
    sketch.conv("window", "x", 8, kernel=3)
    graph = sketch.done()
    scheme, plan = parse_scheme("w4a8"), plan_of(graph, LITERT, "w4a8")

    (told,) = unmet_bits(plan, scheme, LITERT)

    assert "no layer's weights got the 4 bits of scheme w4a8, they have 8" in told
    assert unmet_bits(plan, parse_scheme("w8a8"), LITERT) == []
    assert unmet_bits(plan_of(network(), LITERT, "w4a8"), scheme, LITERT) == []


@pytest.mark.parametrize("scheme", DEPLOYABLE)
def test_the_callers_word_about_a_layer_goes_before_the_scheme(scheme):
    usual = bits_of(scheme)

    found = bits_of(scheme, large=8, small=2, from_even=4)

    assert found == {**usual, "large": 8, "small": 2, "from_even": 4}


@pytest.mark.parametrize(
    ("layer", "bits", "said"),
    [
        ("window", 4, r"'layer\.window' \(conv2d\): 4 bits .*held in pointwise convolutions"),
        ("depthwise", 4, r"layer\.depthwise.*4 bits"),
        ("grouped", 2, r"layer\.grouped.*2 bits"),
        ("strided", 4, r"layer\.strided.*4 bits"),
        ("padded", 4, r"layer\.padded.*4 bits"),
        ("up", 4, r"layer\.up.*conv_transpose2d.*4 bits"),
        ("from_odd", 4, "rows of weights fill whole bytes alone"),
        ("from_even", 2, "rows of weights fill whole bytes alone"),
        ("large", 3, "3 bits for its weight, under scheme mixed.*8, 4 or 2"),
        ("large", 16, "16 bits"),
        ("large", 0, "0 bits"),
    ],
)
def test_bits_that_a_layer_cannot_have_are_refused_by_its_name(layer, bits, said):
    with pytest.raises(UnsupportedByTarget, match=said):
        bits_of("mixed", **{layer: bits})


@pytest.mark.parametrize("name", ["larg", "mean", "x", "layer.large"])
def test_bits_for_what_is_no_layer_with_weights_are_refused_by_name(name):
    with pytest.raises(UnknownName, match=f"weight_bits names '{name}'"):
        bits_of("mixed", **{name: 4})


def test_the_nearest_layers_are_offered():
    with pytest.raises(UnknownName, match="did you mean large"):
        bits_of("mixed", larg=4)


@pytest.mark.parametrize(
    ("scheme", "weight", "value"),
    [("w4a4", 4, 4), ("w3a3", 3, 3), ("w8a4", 8, 4), ("w2a4-per-tensor", 2, 4), ("w5a8", 5, 8)],
)
def test_a_simulated_scheme_gives_its_bits_to_every_layer_and_value(scheme, weight, value):
    graph = network()

    plan = plan_of(graph, LITERT, scheme)

    assert {spec.bits for spec in plan.weights.values()} == {weight}
    assert {spec.bits for spec in plan.activations.values()} == {value}
    assert plan.activations.keys() == graph.nodes.keys()
    assert len(plan.weights) == 13


def test_a_simulated_scheme_takes_any_width_for_any_layer_from_2_to_8():
    found = bits_of("w4a4", window=8, depthwise=7, up=2)

    assert (found["window"], found["depthwise"], found["up"], found["large"]) == (8, 7, 2, 4)
    with pytest.raises(UnsupportedByTarget, match=r"layer\.window.*9 bits.*2 to 8"):
        bits_of("w4a4", window=9)


@pytest.mark.parametrize(
    ("scheme", "low", "high"),
    [("w8a8", -127, 127), ("w4a8", -7, 7), ("w2a8", -2, 1), ("w3a3", -3, 3)],
)
@pytest.mark.parametrize("suffix", ["", "-per-tensor"])
def test_weights_are_narrow_and_symmetric_but_two_bits_have_all_four_levels(
    scheme, low, high, suffix
):
    spec = plan_of(network(), LITERT, scheme + suffix).weights["large"]

    assert (spec.qmin, spec.qmax, spec.symmetric) == (low, high, True)
    assert spec.axis == (None if suffix else 0)


@pytest.mark.parametrize("bits", range(2, 9))
def test_prescribed_grids_are_coarser_with_fewer_bits_and_span_the_same(bits):
    sketch = Sketch(*SHAPE)
    sketch.add("gate", "sigmoid", "x")
    sketch.add("turn", "tanh", "x")
    graph = sketch.done("gate", "turn")

    fixed = plan_of(graph, LITERT, f"w8a{bits}").fixed

    gate, turn = fixed["gate"], fixed["turn"]
    assert (gate.step * 2**bits, gate.zero) == (1.0, -(2 ** (bits - 1)))
    assert (turn.step * 2**bits, turn.zero) == (2.0, 0)
    assert gate.spec == turn.spec


@pytest.mark.parametrize("scheme", ["w4a8", "w2a8", "w4a4"])
def test_the_largest_weight_of_a_channel_is_the_largest_integer(scheme):
    graph = network()
    plan = plan_of(graph, LITERT, scheme)

    found = trial_encodings(graph, plan, LITERT).weights["large"]

    largest = graph.params["large.weight"].flatten(1).abs().amax(1)
    assert torch.equal(found.scale, (largest.double() / found.spec.qmax).float())
