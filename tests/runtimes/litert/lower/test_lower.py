"""Whole networks lowered: the same function, in nothing but nodes that the file can hold."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import intaglio
from architectures import captured, images
from architectures.sketch import Sketch
from calibrate.planned import plan_of
from intaglio.ops.padding import padding_word
from intaglio.passes.canonicalize import canonicalize
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.lower.lower import lower
from intaglio.runtimes.litert.lower.lower_shapes import LARGEST_CONCAT
from passes.same_function import assert_same_function, ops

NETWORKS = [
    "zoo.mobilenet_v2_tf",
    "zoo.mobilenet_v3_small",
    "zoo.resnet20_cifar10",
    "shufflenet_v2",
    "densenet",
    "efficientnet",
    "unet",
    "deeplab",
    "yolo_like",
]
REWRITTEN = {"hard_swish", "hard_sigmoid", "silu", "affine"}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_the_function_stays_and_every_node_is_of_a_kind_that_the_file_holds(name):
    graph = captured(name).graph
    canonicalize(graph)
    canonical = graph.copy()

    lower(graph)

    assert_same_function(graph, canonical, images(captured(name).input_shape, 2))
    assert not REWRITTEN & set(ops(graph))
    for node in graph:
        assert node.op != "concat" or len(node.inputs) <= LARGEST_CONCAT
        assert node.op != "conv2d" or padding_word(graph, node) is not None
    gates = {node.name for node in graph if node.op in ("sigmoid", "tanh")}
    assert set(plan_of(graph, LITERT, "w8a8").fixed) == gates


@pytest.mark.parametrize("name", NETWORKS[1:4])
def test_a_lowered_graph_is_lowered_no_further(name):
    graph = captured(name).graph
    canonicalize(graph)
    lower(graph)

    changes = lower(graph)

    assert not any(changes.values()), changes


def test_the_counts_name_every_pass_that_changed_something():
    sketch = Sketch(4, 8, 8)
    sketch.add("swish", "hard_swish", "x")
    sketch.conv("conv", "swish", 4, stride=(2, 2), padding=(1, 1, 1, 1))

    changes = lower(sketch.done())

    assert {name: count for name, count in changes.items() if count} == {
        "lower_hard_swish": 1,
        "absorb_rescale": 1,
        "express_padding": 1,
    }


class Gated(nn.Module):
    """A sigmoid or tanh whose value is padded next."""

    def __init__(self, function, behind: nn.Module) -> None:
        super().__init__()
        self.first, self.function, self.behind = nn.Conv2d(3, 4, 3), function, behind

    def forward(self, x: Tensor) -> Tensor:
        return self.behind(self.function(self.first(x)))


@pytest.mark.parametrize("target", ["litert", "litert-reference"])
@pytest.mark.parametrize(
    ("function", "behind"),
    [
        (torch.sigmoid, nn.Conv2d(4, 4, 3, stride=2, padding=1)),
        (torch.tanh, nn.Conv2d(4, 4, 4, padding=1)),
        (torch.sigmoid, nn.MaxPool2d(3, 2, 1)),
    ],
)
def test_padding_behind_a_prescribed_grid_is_held(function, behind, target):
    torch.manual_seed(0)
    model, data = Gated(function, behind).eval(), images((1, 3, 10, 10), 4)

    result = intaglio.compress(model, data[:1], target=target, data=data)

    assert result.report.check.mismatches == 0
    grids = result.encodings.activations
    (gate,) = (node for node in result.graph if node.op in ("sigmoid", "tanh"))
    assert float(grids[gate.name].step) == (2**-8 if gate.op == "sigmoid" else 2**-7)
