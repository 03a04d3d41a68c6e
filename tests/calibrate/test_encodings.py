"""Grids from ranges: closed forms, unions, and scales that keep biases within int32."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from architectures.sketch import Sketch
from calibrate.planned import plan_of
from intaglio.calibrate import choose_encodings
from intaglio.calibrate.encodings import BIAS_STEPS, weight_params
from intaglio.ir.graph import Graph
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.spec import INT8_WEIGHT, INT8_WEIGHT_PER_TENSOR
from intaglio.run.weights import integer_bias, integer_weight
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.low_bits import BIAS_LIMIT
from intaglio.targets.runtime import Ranges

SHAPE = (4, 6, 6)


def bounds(low: float, high: float) -> tuple[Tensor, Tensor]:
    return torch.tensor(low), torch.tensor(high)


def encoded(graph: Graph, ranges: Ranges, target=LITERT_REFERENCE, scheme="w8a8") -> Encodings:
    return choose_encodings(graph, plan_of(graph, target, scheme), ranges, target)


def grid(encodings: Encodings, name: str) -> tuple[float, int]:
    found = encodings.activations[name]
    return float(found.step), found.zero


def layer(weight: Tensor, bias: Tensor | None = None, op: str = "conv2d") -> Graph:
    sketch = Sketch(weight.shape[0 if op == "conv_transpose2d" else 1], 6, 6)
    weights = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    sketch.weighted("layer", op, "x", weights)
    return sketch.done()


def scales(graph: Graph, spec=INT8_WEIGHT, input_scale: float = 0.02) -> Tensor:
    return weight_params(
        graph, graph["layer"], spec, torch.tensor(input_scale), target=LITERT
    ).scale


@pytest.mark.parametrize("target", [LITERT, LITERT_REFERENCE])
def test_a_relu6_range_has_the_step_six_over_255_and_its_zero_at_the_lowest_integer(target):
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4, activation=(0.0, 6.0))
    ranges = {"x": bounds(-1.0, 1.55), "conv": bounds(0.0, 6.0)}

    found = encoded(sketch.done(), ranges, target)

    assert grid(found, "conv") == (torch.tensor(6 / 255).item(), -128)
    assert grid(found, "x") == (torch.tensor(2.55 / 255).item(), -128 + 100)


def test_a_group_has_the_union_of_its_members_ranges():
    sketch = Sketch(*SHAPE)
    sketch.conv("a", "x", 4)
    sketch.conv("b", "x", 4)
    sketch.add("both", "concat", "a", "b", axis=1)
    graph = sketch.done()
    ranges = {"x": bounds(0, 1), "a": bounds(-1.0, 0.5), "b": bounds(-0.25, 4.1)}

    found = encoded(graph, ranges)

    assert grid(found, "a") == grid(found, "b") == grid(found, "both")
    assert grid(found, "a") == (torch.tensor(5.1 / 255).item(), -128 + 50)


def test_values_stand_in_the_graphs_order_and_every_one_has_a_grid():
    sketch = Sketch(*SHAPE)
    sketch.add("gate", "sigmoid", "x")
    sketch.add("product", "mul", "x", "gate")
    sketch.add("sixth", "rescale", "product", factor=1 / 6)
    sketch.add("sum", "add", "sixth", "x")
    graph = sketch.done()
    ranges = {name: bounds(-1.0, 1.0) for name in ("sum", "product", "x")}

    found = encoded(graph, ranges)

    assert list(found.activations) == list(graph.nodes)
    assert grid(found, "gate") == (1 / 256, -128)
    assert grid(found, "sixth")[0] == pytest.approx(grid(found, "product")[0] / 6, rel=1e-7)
    assert grid(found, "sixth")[1] == grid(found, "product")[1]


def test_a_channels_scale_is_its_largest_magnitude_over_127():
    weight = torch.randn(5, 4, 3, 3, generator=torch.Generator().manual_seed(0))

    expected = (weight.abs().amax((1, 2, 3)).double() / 127).float()

    assert torch.equal(scales(layer(weight)), expected)
    assert scales(layer(weight), INT8_WEIGHT_PER_TENSOR).item() == expected.max().item()


def test_a_transposed_convolutions_channels_lie_along_axis_1():
    weight = torch.randn(4, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    spec = replace(INT8_WEIGHT, axis=1)

    found = scales(layer(weight, op="conv_transpose2d"), spec)

    assert torch.equal(found, (weight.abs().amax((0, 2, 3)).double() / 127).float())


def test_a_dead_channels_scale_is_raised_until_its_bias_fits_and_no_other():
    weight = torch.randn(3, 4, 1, 1, generator=torch.Generator().manual_seed(0))
    weight[1] = 6e-21
    bias = torch.tensor([1.0, 1.0, -2.0])

    found, plain = scales(layer(weight, bias)), scales(layer(weight))

    assert torch.equal(found[[0, 2]], plain[[0, 2]])
    assert 1.0 / (0.02 * plain[1].item()) > 2**31  # what would overflow
    integers = integer_bias(bias, torch.tensor(0.02), found)
    assert 0.999 * BIAS_LIMIT < integers[1].item() < BIAS_LIMIT  # no coarser than needed


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-30, 10.0), st.floats(1e-12, 1e6), st.floats(1e-6, 1e3), st.booleans())
def test_every_bias_stays_below_the_limit(magnitude, bias, input_scale, per_tensor):
    biases = torch.tensor([bias, -bias, 0.0])
    graph = layer(torch.full((3, 2, 1, 1), magnitude), biases)
    spec = INT8_WEIGHT_PER_TENSOR if per_tensor else INT8_WEIGHT

    found = scales(graph, spec, input_scale)

    integers = integer_bias(biases, torch.tensor(input_scale), found)
    assert integers.abs().max().item() < BIAS_LIMIT


def test_a_channel_of_zeros_gets_a_scale_by_its_bias():
    weight = torch.zeros(3, 2, 1, 1)
    weight[2] = 1.0
    bias = torch.tensor([0.5, 0.0, 0.5])
    graph = layer(weight, bias)

    found = weight_params(graph, graph["layer"], INT8_WEIGHT, torch.tensor(0.02), target=LITERT)

    silent, plain = (math.log2(value / 0.02 / BIAS_STEPS) for value in (0.5, 1.0))
    assert found.scale.double().log2().tolist()[:2] == pytest.approx([silent, plain], abs=1e-6)
    integers = integer_bias(bias, torch.tensor(0.02), found.scale)
    assert integers.tolist()[:2] == [BIAS_STEPS, 0]
    assert integer_weight(weight, found)[:2].abs().sum() == 0


@pytest.mark.parametrize("bias", [None, torch.zeros(3)])
def test_a_weight_of_only_zeros_is_encoded(bias):
    graph = layer(torch.zeros(3, 2, 1, 1), bias)

    for spec in (INT8_WEIGHT, INT8_WEIGHT_PER_TENSOR):
        assert bool((scales(graph, spec) > 0).all())


def test_per_tensor_weights_have_one_scale_raised_by_the_worst_bias():
    weight = torch.full((2, 2, 1, 1), 1e-20)

    found = scales(layer(weight, torch.tensor([1e-3, 1.0])), INT8_WEIGHT_PER_TENSOR)

    assert found.shape == ()
    assert 1.0 / (0.02 * found.item()) == pytest.approx(BIAS_LIMIT, rel=1e-5)


@pytest.mark.parametrize("scheme", ["w8a8", "w8a8-per-tensor"])
def test_a_schemes_scales_come_out_of_choose_encodings(scheme):
    weight = torch.randn(5, 4, 3, 3)
    ranges = {"x": bounds(-1, 1), "layer": bounds(-9, 9)}

    found = encoded(layer(weight), ranges, scheme=scheme)

    assert found.weights["layer"].scale.shape == ((5,) if scheme == "w8a8" else ())


@settings(max_examples=50, deadline=None)
@given(st.floats(-1e3, 1e3, width=32), st.floats(-1e3, 1e3, width=32))
def test_zero_is_always_on_the_grid_and_the_range_is_covered(one, other):
    sketch = Sketch(*SHAPE)
    low, high = min(one, other), max(one, other)

    found = encoded(sketch.done("x"), {"x": bounds(low, high)}).activations["x"]

    step, zero = float(found.step), found.zero
    assert -128 <= zero <= 127
    # half a step is lost at each end where the zero point is rounded
    assert (-128 - zero) * step <= low + 0.5001 * step
    assert (127 - zero) * step >= high - 0.5001 * step


def gate(low: float, high: float) -> tuple[Graph, Ranges]:
    """Return a gate relu6(x + 3) beside all of x, and ranges where x is `low` to `high`."""
    sketch = Sketch(*SHAPE)
    sketch.constant("three", torch.full((1, 1, 1, 1), 3.0))
    sketch.add("sum", "add", "x", "three", activation=(0.0, 6.0))
    opened = (max(0.0, low + 3), max(0.0, high + 3))
    ranges = {"x": bounds(low, high), "three": bounds(3, 3), "sum": bounds(*opened)}
    return sketch.done("sum", "x"), ranges


def test_a_gate_that_is_almost_shut_is_as_coarse_as_the_kernel_needs():
    graph, ranges = gate(-40.0, -2.9)

    coarse, fine = (encoded(graph, ranges, target) for target in (LITERT, LITERT_REFERENCE))

    assert grid(coarse, "x")[0] / grid(coarse, "sum")[0] == pytest.approx(256, rel=0.02)
    assert grid(coarse, "x")[0] / grid(coarse, "sum")[0] < 256
    assert grid(coarse, "sum")[1] == -128
    assert grid(fine, "sum")[0] == pytest.approx(0.1 / 255)


def test_an_open_gate_and_one_that_is_shut_keep_the_grid_of_their_range():
    graph, ranges = gate(-40.0, 40.0)
    shut, silent = gate(-40.0, -20.0)

    assert grid(encoded(graph, {**ranges, "sum": bounds(0, 6)}, LITERT), "sum")[0] == (
        torch.tensor(6 / 255).item()
    )
    assert grid(encoded(shut, silent, LITERT), "sum") == (1.0, -128)
