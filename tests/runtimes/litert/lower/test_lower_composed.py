"""Softmax, quotients and largest values of two, composed: the function stays, in exact ops."""

from __future__ import annotations

import math

import pytest
import torch

from architectures import images
from architectures.sketch import Sketch
from calibrate.planned import planned
from intaglio.calibrate import CALIBRATORS, choose_encodings, observe_ranges
from intaglio.ir.graph import Graph
from intaglio.run.float import run_float
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.lower.lower_composed import (
    lower_div,
    lower_extremes,
    lower_softmax,
)
from intaglio.targets.target import Target
from passes.same_function import assert_same_function, ops
from runtimes.litert.ops.harness import TARGETS, assert_same_bits

SHAPE = (4, 6, 6)
X = 2 * images((1, *SHAPE), 2)
COMPOSED = ["reduce_max", "sub", "function", "mean", "mean", "function", "function", "mul", "mul"]


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_softmax_inside_the_network_is_composed(axis: int) -> None:
    sketch = Sketch(*SHAPE)
    sketch.add("softmax", "softmax", "x", axis=axis)
    sketch.conv("conv", "softmax", 3)
    graph = sketch.done()
    before = graph.copy()

    assert lower_softmax(graph) == 1

    assert ops(graph) == [*COMPOSED, "conv2d"]
    assert {node.source for node in graph} >= {"layer.softmax"}
    assert len({node.source for node in graph if node.name.startswith("softmax")}) == 1
    assert_same_function(graph, before, X)


def test_a_softmax_that_stays_in_float_stays() -> None:
    sketch = Sketch(*SHAPE)
    sketch.add("softmax", "softmax", "x", axis=1)

    assert lower_softmax(sketch.done()) == 0


def test_a_softmax_of_which_boxes_are_computed_stays() -> None:
    sketch = Sketch(16, 4, 8)
    sketch.add("softmax", "softmax", "x", axis=1)
    sketch.weighted("boxes", "conv2d", "softmax", {"weight": sketch.random(1, 16, 1, 1)})

    assert lower_softmax(sketch.done()) == 0


def test_a_quotient_is_a_product_with_a_reciprocal() -> None:
    sketch = Sketch(*SHAPE)
    sketch.conv("a", "x", 4, 1)
    sketch.add("b", "sigmoid", "x")
    sketch.add("quotient", "div", "a", "b")
    graph = sketch.done()
    before = graph.copy()

    assert lower_div(graph) == 1

    assert ops(graph) == ["conv2d", "sigmoid", "function", "mul"]
    assert_same_function(graph, before, X)


@pytest.mark.parametrize("op", ["maximum", "minimum"])
@pytest.mark.parametrize("is_first", [True, False])
def test_the_larger_and_the_smaller_of_two_are_clamped_differences(op: str, is_first: bool) -> None:
    sketch = Sketch(*SHAPE)
    sketch.conv("a", "x", 4, 1)
    sketch.add("b", "mean", "x", axes=(2, 3), keepdim=True)
    sketch.add("chosen", op, *(("a", "b") if is_first else ("b", "a")))
    graph = sketch.done()
    before = graph.copy()

    assert lower_extremes(graph) == 1

    assert ops(graph)[2:] == ["sub", "add" if op == "maximum" else "sub"]
    assert_same_function(graph, before, X)


def quantized(graph: Graph, values: torch.Tensor, target: Target) -> tuple[torch.Tensor, Graph]:
    """Return what the twin makes of values, its bits compared with the file's, and its graph."""
    lowered, plan = planned(target.lower(graph).graph, target, "w8a8")
    ranges = observe_ranges(lowered, plan, [values], calibrator=CALIBRATORS["minmax"])
    encodings = choose_encodings(lowered, plan, ranges, target)
    assert_same_bits(lowered, encodings, target, values[:1])
    found = build_twin(lowered, encodings, target)(values)
    assert isinstance(found, torch.Tensor)
    return found, lowered


def decibels(found: torch.Tensor, expected: torch.Tensor) -> float:
    return 10 * math.log10(float((expected**2).sum() / ((found - expected) ** 2).sum()))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize(
    ("count", "spread"), [(16, 1.0), (16, 4.0), (49, 1.0), (49, 4.0), (196, 1)]
)
def test_softmax_in_integers_is_near_its_function_and_exact(
    count: int, spread: float, target: Target
) -> None:
    generator = torch.Generator().manual_seed(0)
    sketch = Sketch(8, count)
    sketch.add("softmax", "softmax", "x", axis=2)
    sketch.add("behind", "add", "softmax", "softmax")
    graph = sketch.done()
    logits = spread * torch.randn(8, 8, count, generator=generator)

    found, lowered = quantized(graph, logits, target)

    assert "softmax" not in ops(lowered)
    assert decibels(found, run_float(graph, logits)[0]) > 30


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_rows_of_very_different_sums_are_all_near_the_function(target: Target) -> None:
    generator = torch.Generator().manual_seed(0)
    sketch = Sketch(8, 49)
    sketch.add("softmax", "softmax", "x", axis=2)
    sketch.add("behind", "add", "softmax", "softmax")
    graph = sketch.done()
    spread = torch.linspace(0.1, 3.0, 8).reshape(1, 8, 1)

    logits = spread * torch.randn(8, 8, 49, generator=generator)

    found, _ = quantized(graph, logits, target)

    assert decibels(found, run_float(graph, logits)[0]) > 29


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_quotients_and_extremes_are_near_their_function_and_exact(target: Target) -> None:
    sketch = Sketch(*SHAPE)
    sketch.conv("a", "x", 4, 1)
    sketch.conv("b", "x", 4, 1)
    sketch.add("gate", "sigmoid", "b")
    sketch.add("more", "add", "gate", sketch.constant("half", torch.full((1, 1, 1, 1), 0.5)))
    sketch.add("quotient", "div", "a", "more")
    sketch.add("larger", "maximum", "a", "b")
    sketch.add("smaller", "minimum", "larger", "quotient")
    graph = sketch.done()
    values = images((4, *SHAPE), 2)

    found, _ = quantized(graph, values, target)

    assert decibels(found, run_float(graph, values)[0]) > 30


def test_largest_values_of_two_stay_in_the_delegate() -> None:
    sketch = Sketch(*SHAPE)
    sketch.conv("a", "x", 4, 1)
    sketch.conv("b", "x", 4, 1)
    sketch.add("larger", "maximum", "a", "b")
    lowered, plan = planned(LITERT.lower(sketch.done()).graph, LITERT, "w8a8")
    ranges = observe_ranges(lowered, plan, [X], calibrator=CALIBRATORS["minmax"])

    counts = assert_same_bits(lowered, choose_encodings(lowered, plan, ranges, LITERT), LITERT, X)

    assert (counts.partitions, counts.builtin) == (1, [])
