"""SiLU becomes hard-swish, hard-swish ReLU, and nothing else changes."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from architectures import images
from architectures.sketch import Sketch
from intaglio.methods.structure.replace_swish import hard_swish_to_relu, silu_to_hard_swish
from intaglio.run.float import run_float

RELU = (0.0, float("inf"))
X = 4 * images((1, 3, 8, 8), 2)


def test_a_hard_swish_becomes_the_relu_of_the_layer_before_it():
    sketch = Sketch(3, 8, 8)
    sketch.conv("conv", "x", 4)
    sketch.add("swish", "hard_swish", "conv")
    sketch.conv("last", "swish", 2, kernel=1)
    graph = sketch.done()

    assert hard_swish_to_relu(graph) == 1

    assert "swish" not in graph.nodes
    assert graph["conv"].attrs["activation"] == RELU
    before = graph.params_of(graph["conv"])
    last = graph.params_of(graph["last"])
    wanted = F.conv2d(F.relu(F.conv2d(X, **before)), **last)
    torch.testing.assert_close(run_float(graph, X)[0], wanted)


def test_one_whose_layer_has_other_readers_stays_a_node_of_its_own():
    sketch = Sketch(3, 8, 8)
    sketch.conv("conv", "x", 4)
    sketch.add("swish", "hard_swish", "conv")
    sketch.add("sum", "add", "swish", "conv")
    graph = sketch.done()

    assert hard_swish_to_relu(graph) == 1

    assert graph["conv"].attrs["activation"] is None
    assert graph["swish"].op == "clamp"
    made = F.conv2d(X, **graph.params_of(graph["conv"]))
    torch.testing.assert_close(run_float(graph, X)[0], made + F.relu(made))


def test_a_silu_becomes_a_hard_swish_of_the_same_value():
    sketch = Sketch(3, 8, 8)
    sketch.conv("conv", "x", 4)
    sketch.add("silu", "silu", "conv")
    graph = sketch.done()

    assert silu_to_hard_swish(graph) == 1

    wanted = F.hardswish(F.conv2d(X, **graph.params_of(graph["conv"])))
    torch.testing.assert_close(run_float(graph, X)[0], wanted)


def test_where_there_is_none_nothing_changes():
    sketch = Sketch(3, 8, 8)
    sketch.conv("conv", "x", 4, activation=(0.0, 6.0))
    sketch.add("gate", "sigmoid", "conv")
    graph = sketch.done()
    before = run_float(graph, X)[0]

    assert hard_swish_to_relu(graph) == silu_to_hard_swish(graph) == 0
    assert torch.equal(run_float(graph, X)[0], before)
