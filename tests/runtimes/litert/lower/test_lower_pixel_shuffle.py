"""Pixel shuffles: channels are made in DEPTH_TO_SPACE's order where a layer can make them so."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from architectures import images
from architectures.sketch import Sketch
from intaglio.ir.graph import Graph
from intaglio.run.float import run_float
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.lower.lower_pixel_shuffle import lower_pixel_shuffle
from passes.same_function import assert_same_function, ops
from runtimes.litert.lower.settled import assert_held

SHAPE = (4, 5, 3)
X = images((1, *SHAPE), 2)
SPELLINGS = ("six axes", "depth_to_space")


def shuffled(sketch: Sketch, source: str, block: int, spelling: str) -> str:
    """Append pixel_shuffle, as users spell it or as it is captured; return its name."""
    channels, height, width = sketch.graph[source].shape[1:]
    out = channels // block**2
    if spelling == "six axes":
        sketch.add("apart", "reshape", source, shape=(-1, out, block, block, height, width))
        sketch.add("turned", "transpose", "apart", order=(0, 1, 4, 2, 5, 3))
        return sketch.add("y", "reshape", "turned", shape=(-1, out, height * block, width * block))
    sketch.add("apart", "reshape", source, shape=(-1, out, block**2, height, width))
    sketch.add("turned", "transpose", "apart", order=(0, 2, 1, 3, 4))
    sketch.add("ordered", "reshape", "turned", shape=(-1, channels, height, width))
    return sketch.add("y", "depth_to_space", "ordered", block=block)


def network(block: int, spelling: str, behind: str = "") -> Graph:
    sketch = Sketch(*SHAPE)
    source = sketch.conv("conv", "x", 2 * block**2)
    if behind == "prelu":
        source = sketch.weighted("f", "prelu", "conv", {"weight": sketch.random(2 * block**2)})
    elif behind == "add":
        source = sketch.add("f", "add", "conv", "conv")
    elif behind:
        source = sketch.add("f", behind, "conv")
    shuffled(sketch, source, block, spelling)
    return sketch.done()


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_both_spellings_are_torchs_pixel_shuffle(spelling):
    sketch = Sketch(18, 5, 3)
    shuffled(sketch, "x", 3, spelling)
    values = images((1, 18, 5, 3), 2)

    assert torch.equal(run_float(sketch.done(), values)[0], F.pixel_shuffle(values, 3))


@pytest.mark.parametrize("behind", ["", "sigmoid", "prelu", "hard_swish"])
@pytest.mark.parametrize("block", [2, 3])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_layer_before_makes_the_channels_in_order(spelling, block, behind):
    graph = network(block, spelling, behind)
    after = graph.copy()

    assert lower_pixel_shuffle(after) == 1

    assert ops(after) == ["conv2d", *([behind] if behind else []), "depth_to_space"]
    assert_same_function(after, graph, X)
    assert lower_pixel_shuffle(after) == 0


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_layer_that_others_read_keeps_its_order(spelling):
    graph = network(2, spelling)
    graph.outputs = ["conv", "y"]
    after = graph.copy()

    lower_pixel_shuffle(after)

    assert ops(after) == ["conv2d", "reshape", "transpose", "reshape"]
    assert_same_function(after, graph, X, exact=True)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_grouped_layer_and_other_moves_of_axes_stay(groups):
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 8, groups=groups)
    if groups == 2:
        shuffled(sketch, "conv", 2, "six axes")
    else:
        sketch.add("apart", "reshape", "conv", shape=(-1, 2, 2, 2, 3, 1))
        sketch.add("turned", "transpose", "apart", order=(0, 1, 4, 3, 5, 2))
        sketch.add("y", "reshape", "turned", shape=(-1, 2, 6, 2))

    assert lower_pixel_shuffle(sketch.done()) == 0


@pytest.mark.parametrize("target", [LITERT, LITERT_REFERENCE])
@pytest.mark.parametrize("behind", ["", "prelu", "add"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_file_holds_them_to_the_bit(spelling, behind, target):
    assert_held(network(2, spelling, behind), target, X)


@pytest.mark.parametrize("target", [LITERT, LITERT_REFERENCE])
def test_the_file_holds_the_way_back_to_the_bit(target):
    sketch = Sketch(3, 6, 4)
    sketch.add("apart", "reshape", "x", shape=(-1, 3, 3, 2, 2, 2))
    sketch.add("turned", "transpose", "apart", order=(0, 1, 3, 5, 2, 4))
    sketch.add("y", "reshape", "turned", shape=(-1, 12, 3, 2))
    values = images((1, 3, 6, 4), 2)
    graph = sketch.done()

    assert torch.equal(run_float(graph, values)[0], F.pixel_unshuffle(values, 2))
    assert_held(graph, target, values)
