"""Products of two values with four axes get a fifth, and need no transposes then."""

from __future__ import annotations

import pytest

from architectures import images
from architectures.sketch import Sketch
from calibrate.planned import planned
from intaglio.calibrate import CALIBRATORS, choose_encodings, observe_ranges
from intaglio.ir.graph import Graph
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.lower.lift_matmul import lift_matmul
from passes.same_function import assert_same_function, ops
from runtimes.litert.ops.harness import TARGETS, assert_same_bits

TOKENS, HEADS, WIDTH = 9, 2, 4
X = images((1, TOKENS, 8), 2)


def attention(*, bias: bool = False) -> Graph:
    """Return multi-head attention as it is captured, with a bias of the logits if wanted."""
    size = HEADS * WIDTH
    sketch = Sketch(TOKENS, 8)
    sketch.weighted("qkv", "linear", "x", {"weight": sketch.random(3 * size, 8) / 3})
    sketch.add("split", "reshape", "qkv", shape=(-1, TOKENS, 3, HEADS, WIDTH))
    sketch.add("turned", "transpose", "split", order=(0, 2, 3, 1, 4))
    for index, name in enumerate("qkv"):
        sketch.add(f"{name}.part", "slice", "turned", axis=1, start=index, stop=index + 1)
        sketch.add(name, "reshape", f"{name}.part", shape=(-1, HEADS, TOKENS, WIDTH))
    logits = sketch.add("logits", "matmul", "q", "k", transposed=True)
    if bias:
        constant = sketch.constant("bias", sketch.random(1, HEADS, TOKENS, TOKENS))
        logits = sketch.add("biased", "add", logits, constant)
    sketch.add("softmax", "softmax", logits, axis=3)
    sketch.add("mixed", "matmul", "softmax", "v", transposed=False)
    sketch.add("back", "transpose", "mixed", order=(0, 2, 1, 3))
    sketch.add("joined", "reshape", "back", shape=(-1, TOKENS, size))
    sketch.weighted("out", "linear", "joined", {"weight": sketch.random(8, size) / 3})
    return sketch.done()


@pytest.mark.parametrize("bias", [False, True])
def test_attention_has_no_value_of_four_axes_left(bias: bool) -> None:
    graph = attention(bias=bias)
    before = graph.copy()

    lowered = LITERT.lower(graph).graph

    assert all(len(node.shape) != 4 for node in lowered)
    assert ops(lowered).count("reshape") == 2
    assert_same_function(lowered, before, X)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("kept", [(), ("layer.softmax",), ("layer.logits", "layer.mixed")])
def test_attention_gives_the_bits_of_the_runtime(kept, target) -> None:
    lowered, plan = planned(
        target.lower(attention(bias=True)).graph, target, "w8a8", keep_float=kept
    )
    ranges = observe_ranges(lowered, plan, [X], calibrator=CALIBRATORS["minmax"])
    encodings = choose_encodings(lowered, plan, ranges, target)

    counts = assert_same_bits(lowered, encodings, target, X)

    if target is LITERT:
        tables = set() if kept == ("layer.softmax",) else {"EXP", "CAST", "GATHER"}
        assert set(counts.builtin) == tables
        assert counts.partitions == (3 if tables else 1) or "layer.logits" in kept


def test_maps_between_convolutions_are_left_as_they_are() -> None:
    sketch = Sketch(4, 6, 6)
    sketch.conv("conv", "x", 4, 1)
    sketch.add("squares", "matmul", "conv", "conv", transposed=True)
    sketch.add("sum", "add", "squares", "conv")
    sketch.conv("next", "sum", 3)
    graph = sketch.done()
    before = graph.copy()

    assert lift_matmul(graph) == 1

    assert ops(graph) == ["conv2d", "reshape", "matmul", "reshape", "add", "conv2d"]
    assert_same_function(graph, before, images((1, 4, 6, 6), 2))


def test_a_product_that_is_an_output_keeps_its_axes_and_its_name() -> None:
    sketch = Sketch(4, 6, 6)
    sketch.add("squares", "matmul", "x", "x", transposed=True)
    graph = sketch.done()

    assert lift_matmul(graph) == 0
    assert graph.outputs == ["squares"]
