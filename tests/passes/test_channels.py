"""Ops that are said to keep channels apart do: each property is held against the op itself."""

from __future__ import annotations

import pytest
import torch

from architectures import images
from architectures.sketch import Sketch
from intaglio.ops.traits import is_homogeneous
from intaglio.passes.channels import (
    averages,
    keeps_constants,
    layers_behind,
    reads_channels,
    scales_along,
)
from intaglio.run.float import run_float

X = images((1, 4, 8, 8), 2)
POOL = {"kernel": (2, 2), "stride": (2, 2)}
NODES = {
    "mean": ("mean", {"axes": (2, 3), "keepdim": True}, True, True),
    "max pool": ("max_pool2d", POOL, True, True),
    "max pool, relu": ("max_pool2d", {**POOL, "activation": (0.0, float("inf"))}, False, True),
    "max pool, relu6": ("max_pool2d", {**POOL, "activation": (0.0, 6.0)}, False, False),
    "average pool": ("avg_pool2d", POOL, True, True),
    "average pool, padded": ("avg_pool2d", {**POOL, "padding": (1, 1)}, False, True),
    "average pool, divisor": ("avg_pool2d", {**POOL, "divisor": 3}, False, True),
    "adaptive pool": ("adaptive_avg_pool2d", {"size": (3, 3)}, True, True),
    "pad": ("pad", {"padding": (1, 1, 1, 1)}, False, True),
    "pad with ones": ("pad", {"padding": (1, 1), "value": 1.0}, False, False),
    "pad channels": ("pad", {"padding": (0, 0, 0, 0, 2, 2)}, False, False),
    "crop": ("slice", {"axis": 2, "start": 1, "stop": 5}, True, True),
    "flatten": ("reshape", {"shape": (-1, 256)}, False, False),
    "keep channels": ("reshape", {"shape": (-1, 4, 64)}, True, True),
    "rescale": ("rescale", {"factor": 2.0}, False, True),
    "leaky relu": ("leaky_relu", {"slope": 0.1}, False, True),
    "relu": ("clamp", {"activation": (0.0, float("inf"))}, False, True),
    "clamp": ("clamp", {"activation": (-1.0, 1.0)}, False, False),
    "hard swish": ("hard_swish", {}, False, False),
    "transpose": ("transpose", {"order": (0, 2, 1, 3)}, False, False),
}


@pytest.mark.parametrize("name", NODES)
def test_what_is_said_of_an_op_is_true_of_it(name):
    op, attrs, constant, scaled = NODES[name]
    sketch = Sketch(4, 8, 8)
    sketch.add("node", op, "x", **attrs)
    graph = sketch.done()
    channels = torch.tensor([0.5, 1.0, 2.0, 3.0]).reshape(1, 4, 1, 1)

    assert keeps_constants(graph, graph["node"]) == constant
    assert scales_along(graph, graph["node"]) == scaled

    def run(x: torch.Tensor) -> torch.Tensor:
        return run_float(graph, x)[0]

    if constant:
        shape = (1, 4) + (1,) * (run(X).ndim - 2)
        torch.testing.assert_close(run(X + channels), run(X) + channels.reshape(shape))
    if scaled:
        shape = (1, 4) + (1,) * (run(X).ndim - 2)
        torch.testing.assert_close(run(X * channels), run(X) * channels.reshape(shape))


def test_homogeneous_clamps_are_those_with_bounds_at_zero_and_infinity():
    infinite = float("inf")
    bounds = (-infinite, -1.0, 0.0, 6.0, infinite)
    homogeneous = [(a, b) for a in bounds for b in bounds if is_homogeneous((a, b))]

    assert is_homogeneous(None)
    assert homogeneous == [
        (-infinite, 0.0),
        (-infinite, infinite),
        (0.0, 0.0),
        (0.0, infinite),
    ]


def test_an_average_written_as_depthwise_is_no_layer():
    sketch = Sketch(4, 8, 8)
    mean = {"weight": torch.full((4, 1, 2, 2), 0.25)}
    sketch.weighted("average", "conv2d", "x", mean, groups=4)
    sketch.conv("depthwise", "average", 4, groups=4)
    graph = sketch.done()

    assert averages(graph, graph["average"])
    assert not reads_channels(graph, graph["average"])
    assert reads_channels(graph, graph["depthwise"])


def test_layers_behind_are_found_unless_something_else_reads():
    sketch = Sketch(4, 8, 8)
    sketch.conv("near", "x", 2)
    sketch.add("pooled", "mean", "x", axes=(2, 3), keepdim=True)
    sketch.conv("far", "pooled", 2, kernel=1)
    sketch.add("swish", "hard_swish", "x")
    graph = sketch.done("near", "far")

    assert layers_behind(graph, "x", keeps_constants) is None
    del graph.nodes["swish"]
    assert [node.name for node in layers_behind(graph, "x", keeps_constants)] == ["near", "far"]
    assert layers_behind(graph, "near", keeps_constants) is None
