"""ReLU6 becomes ReLU in layers, and stays where it is half of a gate."""

from __future__ import annotations

import torch

from architectures import images
from architectures.sketch import Sketch
from intaglio.methods.structure.relu6_to_relu import relu6_to_relu
from intaglio.run.float import run_float

RELU = (0.0, float("inf"))
RELU6 = (0.0, 6.0)


def test_only_values_above_6_change():
    sketch = Sketch(3, 8, 8)
    sketch.conv("conv", "x", 4, activation=RELU6)
    graph = sketch.done()
    x = 3 * images((1, 3, 8, 8), 1)
    before = run_float(graph, x)[0]

    assert relu6_to_relu(graph) == 1

    after = run_float(graph, x)[0]
    assert graph["conv"].attrs["activation"] == RELU
    assert float(after.max()) > 6.0
    assert torch.equal(after.clamp(max=6.0), before)


def test_a_gate_and_other_clamps_stay():
    sketch = Sketch(3, 8, 8)
    sketch.conv("gate", "x", 4, activation=RELU6)  # a hard-sigmoid, lowered
    sketch.conv("gated", "x", 4, activation=RELU)
    sketch.add("product", "mul", "gated", "gate")
    sketch.conv("other", "product", 2, activation=(-1.0, 1.0))
    graph = sketch.done()

    assert relu6_to_relu(graph) == 0

    assert graph["gate"].attrs["activation"] == RELU6
    assert graph["other"].attrs["activation"] == (-1.0, 1.0)
