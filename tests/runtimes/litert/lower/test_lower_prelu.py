"""PReLU as a sum with a rectified part: the same function, in one partition, to the bit."""

from __future__ import annotations

import pytest
import torch

from architectures import images
from architectures.sketch import Sketch
from intaglio.ir.graph import Graph
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.lower.lower_prelu import lower_prelu
from passes.same_function import assert_same_function, ops
from runtimes.litert.lower.settled import assert_held

SHAPES = {"image": (6, 5, 4), "vector": (6,), "sequence": (6, 5)}
SLOPES = {
    "between 0 and 1": torch.linspace(0.0, 0.9, 6),
    "negative": torch.linspace(-0.8, 0.3, 6),
    "above 1": torch.linspace(1.0, 3.0, 6),
    "both sides of 1": torch.linspace(-0.5, 2.0, 6),
}
ONE = {
    "one number": (torch.tensor([0.25]), "leaky_relu"),
    "one negative number": (torch.tensor([-0.25]), "leaky_relu"),
    "the same for all": (torch.full((6,), 0.1), "leaky_relu"),
    "zero": (torch.zeros(6), "clamp"),
}


def prelu(slope: torch.Tensor, shape: tuple[int, ...] = SHAPES["image"]) -> Graph:
    sketch = Sketch(*shape)
    sketch.weighted("y", "prelu", "x", {"weight": slope})
    return sketch.done()


def lowered(graph: Graph, shape: tuple[int, ...] = SHAPES["image"]) -> Graph:
    after = graph.copy()
    assert lower_prelu(after) == 1
    assert_same_function(after, graph, images((1, *shape), 3))
    assert lower_prelu(after) == 0
    return after


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("slope", SLOPES)
def test_a_slope_for_each_channel_is_a_sum_of_two(slope, shape):
    after = lowered(prelu(SLOPES[slope], SHAPES[shape]), SHAPES[shape])

    part = "conv2d" if shape == "image" else "mul"
    parts = 2 if slope == "both sides of 1" else 1
    assert ops(after) == [part] * parts + ["sub" if slope == "above 1" else "add"]


@pytest.mark.parametrize("name", ONE)
def test_one_slope_is_a_leaky_relu(name):
    slope, op = ONE[name]

    assert ops(lowered(prelu(slope))) == [op]


@pytest.mark.parametrize("slope", [1e-4, 1e-3, -1e-3, 100.0])
def test_a_leaky_relu_whose_slope_the_kernel_may_not_take_is_a_sum_too(slope):
    sketch = Sketch(*SHAPES["image"])
    sketch.add("y", "leaky_relu", "x", slope=slope)

    assert ops(lowered(sketch.done()))[-1] in ("add", "sub")


def test_an_ordinary_leaky_relu_stays():
    sketch = Sketch(*SHAPES["image"])
    sketch.add("y", "leaky_relu", "x", slope=0.01)

    assert lower_prelu(sketch.done()) == 0


@pytest.mark.parametrize("target", [LITERT, LITERT_REFERENCE])
@pytest.mark.parametrize("slope", [*SLOPES, "zero", "one number"])
@pytest.mark.parametrize("shape", ["image", "vector"])
def test_the_file_holds_them_to_the_bit(slope, shape, target):
    values = SLOPES[slope] if slope in SLOPES else ONE[slope][0]

    assert_held(prelu(values, SHAPES[shape]), target, images((1, *SHAPES[shape]), 4))


@pytest.mark.parametrize("slope", ["both sides of 1", "above 1"])
def test_it_can_be_kept_in_float(slope):
    sketch = Sketch(*SHAPES["image"])
    sketch.conv("conv", "x", 6, kernel=1)
    sketch.weighted("y", "prelu", "conv", {"weight": SLOPES[slope]})

    assert_held(sketch.done(), LITERT, images((1, *SHAPES["image"]), 3), keep_float=("layer.y",))
