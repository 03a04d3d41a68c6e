"""Products and means that share their grids get scales that can be moved."""

from __future__ import annotations

import pytest
import torch

from architectures import images
from architectures.sketch import Sketch
from intaglio.runtimes.litert.lower.free_scales import free_clamps, free_scales, store_factors
from passes.same_function import assert_same_function, nodes

SHAPE = (4, 6, 5)
X = images((1, *SHAPE), 2)


def assert_becomes(step, sketch: Sketch, *lines: str, outputs: tuple[str, ...] = ()) -> None:
    graph = sketch.done(*outputs)
    after = graph.copy()

    assert step(after) == (0 if nodes(graph) == list(lines) else 1)

    assert nodes(after) == list(lines)
    assert after.outputs == graph.outputs
    assert_same_function(after, graph, X, exact=True)
    assert step(after.copy()) == 0


def test_a_factor_before_a_concatenation_with_its_input_is_stored() -> None:
    sketch = Sketch(*SHAPE)
    sketch.add("half", "rescale", "x", factor=0.5)
    sketch.add("y", "concat", "half", "x", axis=1)

    assert_becomes(
        store_factors,
        sketch,
        "half.factor = constant()",
        "half = mul(x, half.factor)",
        "y = concat(half, x) {axis=1}",
    )


@pytest.mark.parametrize(("factor", "stored"), [(1e-6, True), (1e-3, False)])
def test_a_factor_before_a_sum_is_stored_where_it_is_too_small_for_the_kernel(
    factor: float, stored: bool
) -> None:
    sketch = Sketch(*SHAPE)
    sketch.add("part", "rescale", "x", factor=factor)
    sketch.add("y", "add", "part", "x")
    graph = sketch.done()

    assert store_factors(graph) == stored


def test_a_mean_that_joins_its_input_is_requantized_in_between() -> None:
    sketch = Sketch(*SHAPE)
    sketch.add("row", "mean", "x", axes=(2,), keepdim=True)
    sketch.add("y", "concat", "row", "x", axis=2)

    assert_becomes(
        free_scales,
        sketch,
        "row = mean(x) {axes=(2), keepdim=True}",
        "row.requantize = clamp(row) {activation=clamp(-inf,inf)}",
        "y = concat(row.requantize, x) {axis=2}",
        outputs=("y", "row"),
    )


@pytest.mark.parametrize("factor", [None, 0.5])
def test_a_gated_value_that_joins_itself_is_requantized_in_between(factor: float | None) -> None:
    """x * sigmoid(c) beside x: the sigmoid's grid is prescribed, x's stands on both sides."""
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4, kernel=1)
    gate = sketch.add("gate", "sigmoid", "conv")
    if factor is not None:
        gate = sketch.add("scaled", "rescale", "gate", factor=factor)
    sketch.add("product", "mul", "x", gate)
    sketch.add("y", "concat", "product", "x", axis=1)
    graph = sketch.done()

    assert free_scales(graph) == 1

    assert graph["y"].inputs == ["product.requantize", "x"]


@pytest.mark.parametrize("other", ["conv", "constant", "x"])
def test_a_product_with_a_scale_that_can_be_moved_stays(other: str) -> None:
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4, kernel=1)
    sketch.constant("constant", torch.full((1, 1, 1, 1), 0.3))
    sketch.add("product", "mul", "x", other)
    sketch.add("y", "concat", "product", "x", axis=1)

    assert free_scales(sketch.done()) == 0


@pytest.mark.parametrize(("bounds", "count"), [((0.0, 1.0), 1), ((0.0, 6.0), 0)])
def test_a_clamp_without_a_word_is_done_by_a_grid_of_its_own(
    bounds: tuple[float, float], count: int
) -> None:
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 4, kernel=1, activation=bounds)
    sketch.add("y", "concat", "conv", "x", axis=1)

    assert free_clamps(sketch.done()) == count
