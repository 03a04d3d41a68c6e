"""Layers kept in float between integer ones: every op in both runtimes, and the regions around."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from architectures.sketch import Sketch
from calibrate.planned import planned
from intaglio.calibrate import CALIBRATORS, choose_encodings, observe_ranges
from intaglio.errors import UnsupportedByTarget
from intaglio.ir.graph import Graph
from intaglio.run.twin import build_twin
from intaglio.runtimes.litert.check import CheckCounts
from intaglio.runtimes.litert.file.write import write_tflite
from intaglio.targets.target import Target
from runtimes.litert.checked import check_file
from runtimes.litert.ops.harness import TARGETS, UNBOUNDED

SHAPE = (4, 8, 8)
CHANNELS, HEIGHT, WIDTH = SHAPE
IMAGES = torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(1))
SAME_SHARE = 0.99
"""Of the integers at a border; float32 sums in another order differ in their last bits, and seldom
fall on the other side of a step then."""

Build = Callable[[Sketch], object]
RELU, RELU6, RELU1 = (0.0, float("inf")), (0.0, 6.0), (-1.0, 1.0)


def weights(sketch: Sketch, *shape: int, bias: int = 0) -> dict[str, torch.Tensor]:
    made = {"weight": sketch.random(*shape) / 4}
    return {**made, "bias": sketch.random(bias)} if bias else made


LAYERS: dict[str, Build] = {
    "conv": lambda s: s.conv("op", "a", 6, stride=(2, 2)),
    "conv without bias": lambda s: s.weighted("op", "conv2d", "a", weights(s, 6, 4, 1, 1)),
    "conv same relu6": lambda s: s.conv("op", "a", 6, padding=(1, 1, 1, 1), activation=RELU6),
    "dilated conv": lambda s: s.conv("op", "a", 6, dilation=(2, 2)),
    "grouped conv": lambda s: s.conv("op", "a", 6, groups=2),
    "depthwise": lambda s: s.conv("op", "a", 4, groups=4, activation=RELU),
    "depthwise multiplier 2": lambda s: s.conv("op", "a", 8, groups=4, stride=(2, 2)),
    "transposed conv": lambda s: s.weighted(
        "op", "conv_transpose2d", "a", weights(s, 4, 3, 2, 2, bias=3), stride=(2, 2)
    ),
    "linear": lambda s: s.weighted("op", "linear", flat(s), weights(s, 5, 4, bias=5)),
    "add": lambda s: s.add("op", "add", "a", "b", activation=RELU),
    "add one channel": lambda s: s.add("op", "add", "a", one_channel(s)),
    "add a constant": lambda s: s.add("op", "add", "a", s.constant("c", s.random(1, 4, 1, 1))),
    "sub": lambda s: s.add("op", "sub", "a", "b", activation=RELU1),
    "mul": lambda s: s.add("op", "mul", "a", "b"),
    "square": lambda s: s.add("op", "mul", "a", "a"),
    "mean": lambda s: s.add("op", "mean", "a", axes=(2, 3), keepdim=True),
    "mean of rows": lambda s: s.add("op", "mean", "a", axes=(2,), keepdim=False),
    "div": lambda s: s.add("op", "div", "a", one_and_more(s)),
    "matmul": lambda s: s.add("op", "matmul", "a", "b", transposed=False),
    "matmul transposed": lambda s: s.add("op", "matmul", "a", "b", transposed=True),
    "rescale": lambda s: s.add("op", "rescale", "a", factor=1 / 3),
    "clamp": lambda s: s.clamp("op", "a", *RELU6),
    "no clamp": lambda s: s.clamp("op", "a", *UNBOUNDED),
    "sigmoid": lambda s: s.add("op", "sigmoid", "a"),
    "tanh": lambda s: s.add("op", "tanh", "a"),
    "leaky relu": lambda s: s.add("op", "leaky_relu", "a", slope=0.1),
    "where": lambda s: s.add(
        "op", "where", s.add("y", "compare", "a", "b", relation="less"), "a", "b"
    ),
    "product": lambda s: s.add("op", "matmul", "a", "b", transposed=True),
    "function": lambda s: s.add("op", "function", "a", chain=(("gelu",), ("exp",))),
    "largest": lambda s: s.add("op", "reduce_max", "a", axes=(1,), keepdim=True),
    "take": lambda s: s.add("op", "take", "a", axis=1, indices=(2, 0, 2)),
    "softmax": lambda s: s.add("op", "softmax", "a", axis=1),
    "softmax of rows": lambda s: s.add("op", "softmax", "a", axis=3),
    "largest of rows": lambda s: s.add("op", "reduce_max", "a", axes=(3,), keepdim=True),
    "max pool": lambda s: s.add("op", "max_pool2d", "a", kernel=(2, 2), stride=(2, 2)),
    "average pool": lambda s: s.add("op", "avg_pool2d", "a", kernel=(3, 3), stride=(2, 2)),
    "bilinear": lambda s: s.add("op", "resize", "a", size=(13, 16), mode="bilinear"),
    "nearest": lambda s: s.add("op", "resize", "a", size=(16, 24)),
    "concat": lambda s: s.add("op", "concat", "a", "b", axis=1),
    "pad": lambda s: s.add("op", "pad", "a", padding=(1, 2, 0, 1)),
    "reshape": lambda s: s.add("op", "reshape", "a", shape=(-1, 2, 8, 16)),
    "transpose": lambda s: s.add("op", "transpose", "a", order=(0, 2, 3, 1)),
    "slice": lambda s: s.add("op", "slice", "a", axis=1, start=1, stop=3),
    "strided slice": lambda s: s.add("op", "slice", "a", axis=2, start=0, stop=8, step=2),
    "depth to space": lambda s: s.add("op", "depth_to_space", "a", block=2),
}


def flat(sketch: Sketch) -> str:
    return sketch.add("flat", "mean", "a", axes=(2, 3), keepdim=False)


def one_channel(sketch: Sketch) -> str:
    return sketch.add("pooled", "mean", "a", axes=(2, 3), keepdim=True)


def one_and_more(sketch: Sketch) -> str:
    """Return b + 1, which is not zero anywhere."""
    return sketch.add("more", "add", "b", sketch.constant("one", torch.ones(1, 1, 1, 1)))


NOT_DELEGATED = {"nearest", "strided slice", "where", "largest", "take"}


def around(build: Build) -> Graph:
    """Return integer layers a and b, the layer "op" that reads them, and one that reads it."""
    sketch = Sketch(*SHAPE)
    sketch.conv("a", "x", CHANNELS, 1)
    sketch.conv("b", "x", CHANNELS, 1, activation=RELU)
    build(sketch)
    sketch.clamp("behind", "op", *UNBOUNDED)
    return sketch.done("behind", "b")


def check(graph: Graph, target: Target, *kept: str, io: str = "float") -> CheckCounts:
    """Return what the check counts for a graph with these layers in float."""
    graph, plan = planned(graph, target, "w8a8", keep_float=kept)
    ranges = observe_ranges(graph, plan, [IMAGES], calibrator=CALIBRATORS["minmax"])
    encodings = choose_encodings(graph, plan, ranges, target)
    content = write_tflite(graph, encodings, target, io=io)
    return check_file(content, build_twin(graph, encodings, target), [IMAGES])


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_in_float_between_integer_ones_computes_its_function(name, target):
    kept = ("op", "y") if name == "where" else ("op",)
    counts = check(around(LAYERS[name]), target, *kept)

    assert counts.mismatches == 0
    assert counts.values_compared > 0
    assert counts.border_values > 0
    assert counts.border_equal >= SAME_SHARE * counts.border_values
    if (not target.is_reference) and name not in NOT_DELEGATED:
        assert (counts.partitions, counts.builtin) == (1, [])


def two_blocks() -> Graph:
    """Return a stem, an inverted residual with a skip, a head: the parts of a MobileNet."""
    sketch = Sketch(*SHAPE)
    sketch.conv("stem", "x", 6, padding=(1, 1, 1, 1), activation=RELU6)
    sketch.conv("expand", "stem", 12, 1, activation=RELU6)
    sketch.conv("spatial", "expand", 12, groups=12, padding=(1, 1, 1, 1), activation=RELU6)
    sketch.conv("project", "spatial", 6, 1)
    sketch.add("sum", "add", "stem", "project")
    sketch.add("pool", "mean", "sum", axes=(2, 3), keepdim=True)
    sketch.add("flat", "reshape", "pool", shape=(-1, 6))
    sketch.weighted("fc", "linear", "flat", weights(sketch, 5, 6, bias=5))
    return sketch.done()


@pytest.mark.parametrize("io", ["float", "int8", "uint8"])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize(
    "kept",
    [
        ("stem",),
        ("spatial",),
        ("fc",),
        ("sum",),
        ("expand", "spatial"),
        ("stem", "expand", "spatial", "project", "sum"),
        ("pool", "fc"),
        ("stem", "fc"),
    ],
    ids="+".join,
)
def test_integer_regions_around_layers_in_float_are_exact(kept, target, io):
    counts = check(two_blocks(), target, *kept, io=io)

    assert counts.mismatches == 0
    assert counts.values_compared > 0
    behind = not {"fc"} >= set(kept) and kept != ("pool", "fc")
    assert (counts.border_values > 0) is behind
    assert counts.border_equal >= SAME_SHARE * counts.border_values


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_clamp_that_no_word_says_is_two_operators_in_float(target):
    graph = around(lambda s: s.conv("op", "a", 4, activation=(-2.0, 3.0)))

    assert check(graph.copy(), target).mismatches == 0  # the end of an integer grid does it
    counts = check(graph, target, "op")
    assert counts.mismatches == 0
    assert counts.border_equal >= SAME_SHARE * counts.border_values


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("name", ["softmax", "div"])
def test_what_has_no_integer_form_is_refused_unless_it_is_kept_in_float(name, target):
    graph = around(LAYERS[name])

    with pytest.raises(UnsupportedByTarget, match=r"no integer form of it.*--keep-float layer.op"):
        check(graph.copy(), target)
    assert check(graph, target, "op").mismatches == 0


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_layers_without_a_float_form_are_refused_by_name(target):
    graph = around(lambda s: s.norm("op", "a"))

    with pytest.raises(UnsupportedByTarget, match=r"'layer.op' \(batch_norm\).*no operator"):
        check(graph, target, "op")
