"""Scales are brought to where a product can be computed, without loss."""

from __future__ import annotations

import pytest
import torch

from architectures.sketch import Sketch
from intaglio.ir.graph import Graph
from intaglio.runtimes.litert.lower.free_scales import store_factors
from runtimes.litert.scales.test_fit_operands import IMAGES, SHAPE, checked

LOWEST = 2.0**-16


def branch(gain: torch.Tensor) -> Graph:
    """Return the graph of x + gain * f(x)."""
    sketch = Sketch(*SHAPE)
    sketch.conv("f", "x", 4, kernel=1)
    sketch.constant("gain", gain)
    sketch.add("product", "mul", "f", "gain")
    sketch.add("sum", "add", "x", "product")
    return sketch.done()


@pytest.mark.parametrize("size", [1e-5, 1e-6, 1e-9, 1e-30])
def test_a_layer_scale_far_below_the_sums_step_is_held(size: float) -> None:
    gain = torch.linspace(-size, size, 4).reshape(1, 4, 1, 1)

    grids = checked(branch(gain)).activations

    multiplier = float(grids["f"].step * grids["gain"].step / grids["product"].step)
    assert multiplier >= LOWEST


def test_a_factor_far_below_the_sums_step_is_held() -> None:
    sketch = Sketch(*SHAPE)
    sketch.clamp("positive", "x")
    sketch.add("part", "rescale", "positive", factor=1e-9)
    sketch.add("sum", "sub", "x", "part")
    graph = sketch.done()
    store_factors(graph)

    checked(graph)


def test_a_multiplier_within_the_limits_is_left_alone() -> None:
    grids = checked(branch(torch.full((1, 4, 1, 1), 0.5))).activations

    assert float(grids["gain"].step) == pytest.approx(0.5 / 255)


def test_a_value_that_is_always_zero_takes_a_scale_from_which_a_finer_grid_is_reached() -> None:
    sketch = Sketch(*SHAPE)
    sketch.constant("nothing", torch.zeros(1, 4, 1, 1))
    sketch.constant("small", torch.full((1, 4, 6, 5), 1e-3))
    sketch.add("silent", "mul", "x", "nothing")
    sketch.add("bridge", "clamp", "silent", activation=(float("-inf"), float("inf")))
    sketch.add("product", "mul", "x", "small")
    sketch.add("sum", "concat", "bridge", "product", axis=1)

    grids = checked(sketch.done()).activations

    assert float(grids["silent"].step / grids["sum"].step) < 256
    assert float(IMAGES.abs().max()) < 256


def test_a_result_below_its_operands_steps_gets_a_coarser_grid() -> None:
    """What is always below 1e-9 of its operands' steps would have a multiplier beyond the limit."""
    sketch = Sketch(*SHAPE)
    sketch.constant("first", torch.tensor([1e3, 0.0, 0.0, 0.0]).reshape(1, 4, 1, 1))
    sketch.constant("second", torch.tensor([1e-9, 1e3, 1e3, 1e3]).reshape(1, 4, 1, 1))
    sketch.add("part", "mul", "x", "first")
    sketch.add("sum", "mul", "part", "second")

    grids = checked(sketch.done()).activations

    assert float(grids["part"].step * grids["second"].step / grids["sum"].step) < 256
