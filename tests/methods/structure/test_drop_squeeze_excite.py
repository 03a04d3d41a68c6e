"""Squeeze-excite is found by what it computes, and leaves the mean of its gates in the weights."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from architectures import images
from architectures.sketch import Sketch
from intaglio.ir.graph import Graph
from intaglio.methods.structure.drop_squeeze_excite import drop_squeeze_excite, gate_of
from intaglio.run.float import run_float

RELU = (0.0, float("inf"))
X = images((1, 3, 8, 8), 6)


def squeezed(*, behind: str = "conv", pools: str = "layer") -> Graph:
    """Return conv -> squeeze-excite -> conv (or what else is behind it).

    Args:
        pools: Which value the gates are computed from.
    """
    sketch = Sketch(3, 8, 8)
    sketch.conv("layer", "x", 4, kernel=1, activation=RELU)
    sketch.conv("other", "x", 4, kernel=1)
    sketch.add("pool", "mean", pools, axes=(2, 3), keepdim=True)
    sketch.conv("squeeze", "pool", 2, kernel=1, activation=RELU)
    sketch.conv("excite", "squeeze", 4, kernel=1)
    sketch.add("gate", "hard_sigmoid", "excite")
    sketch.add("scaled", "mul", "gate", "layer")
    if behind == "conv":
        sketch.conv("last", "scaled", 2)
    elif behind == "depthwise":
        sketch.conv("last", "scaled", 4, groups=4)
    else:
        sketch.add("last", "add", "scaled", "other")
    return sketch.done()


def values_of(graph: Graph, name: str) -> Tensor:
    """Return a value for the images."""
    found: dict[str, Tensor] = {}
    run_float(graph, X, tap=lambda node, value: found.update({node.name: value.clone()}))
    return found[name]


@pytest.mark.parametrize("behind", ["conv", "depthwise", "sum"])
def test_what_is_left_is_the_value_times_the_mean_gate_of_each_channel(behind):
    graph = squeezed(behind=behind)
    value, gates = values_of(graph, "layer"), values_of(graph, "gate")
    old = graph.copy()

    assert drop_squeeze_excite(graph, torch.split(X, 2)) == 1

    assert {"gate", "excite", "squeeze", "pool"}.isdisjoint(graph.nodes)
    assert not any(node.op == "mul" for node in graph)
    scaled = value * gates.mean(0, keepdim=True)
    if behind == "sum":
        wanted = scaled + values_of(old, "other")
    else:
        groups = 4 if behind == "depthwise" else 1
        wanted = F.conv2d(scaled, **old.params_of(old["last"]), groups=groups)
    torch.testing.assert_close(run_float(graph, X)[0], wanted, rtol=1e-4, atol=1e-5)


def test_gates_of_another_value_and_products_of_two_values_stay():
    gated_by_other = squeezed(pools="other")
    sketch = Sketch(3, 8, 8)
    sketch.conv("one", "x", 4)
    sketch.conv("two", "x", 4)
    sketch.add("product", "mul", "one", "two")
    product = sketch.done()

    for graph, name in ((gated_by_other, "scaled"), (product, "product")):
        assert gate_of(graph, graph[name]) is None
        assert drop_squeeze_excite(graph, [X]) == 0
        assert any(node.op == "mul" for node in graph)
