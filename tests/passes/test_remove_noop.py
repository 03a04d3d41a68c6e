"""What changes nothing goes; what looks like it stays."""

from __future__ import annotations

import math

import pytest
import torch

from architectures import images
from architectures.sketch import Sketch
from intaglio.passes.fold_constants import fold_constants
from intaglio.passes.remove_noop import remove_noop
from intaglio.run.float import run_float

NOTHING = [
    ("concat", {"axis": 1}),
    ("reshape", {"shape": (-1, 2, 6, 6)}),
    ("slice", {"axis": 1, "start": 0, "stop": 2}),
    ("adaptive_avg_pool2d", {"size": (6, 6)}),
    ("resize", {"size": (6, 6)}),
    ("resize", {"size": (6, 6), "scales": (1.1, 1.1)}),
    ("resize", {"size": (6, 6), "mode": "bilinear", "scales": (1.0, 1.1)}),
    ("resize", {"size": (6, 6), "mode": "bilinear", "align_corners": True, "scales": (1.1, 1.1)}),
    ("transpose", {"order": (0, 1, 2, 3)}),
    ("pad", {"padding": (0, 0, 0, 0), "value": 3.0}),
    ("avg_pool2d", {"kernel": (1, 1)}),
    ("max_pool2d", {"kernel": (1, 1)}),
    ("clamp", {"activation": (-math.inf, math.inf)}),
    ("rescale", {"factor": 1.0}),
]
SOMETHING = [
    ("resize", {"size": (7, 6)}),
    ("reshape", {"shape": (-1, 6, 2, 6)}),
    ("transpose", {"order": (0, 1, 3, 2)}),
    ("avg_pool2d", {"kernel": (1, 1), "divisor": 2}),
    ("avg_pool2d", {"kernel": (1, 1), "stride": (2, 2)}),
    ("max_pool2d", {"kernel": (1, 1), "activation": (0.0, 0.5)}),
    ("max_pool2d", {"kernel": (3, 3), "padding": (1, 1, 1, 1)}),
    ("clamp", {"activation": (-math.inf, 0.5)}),
    ("rescale", {"factor": 0.5}),
]


def around(op, attrs):
    """An op between two others, so that it has a reader and a maker."""
    sketch = Sketch(2, 6, 6)
    sketch.add("before", "tanh", "x")
    sketch.add("op", op, "before", **attrs)
    sketch.add("behind", "sigmoid", "op")
    return sketch.done()


@pytest.mark.parametrize(("op", "attrs"), NOTHING)
def test_what_changes_nothing_goes(op, attrs):
    graph = around(op, attrs)
    before = graph.copy()
    x = images((1, 2, 6, 6), 2)

    assert remove_noop(graph) == 1

    assert [node.op for node in graph] == ["input", "tanh", "sigmoid"]
    assert torch.equal(run_float(graph, x)[0], run_float(before, x)[0])


@pytest.mark.parametrize(("op", "attrs"), SOMETHING)
def test_what_changes_something_stays(op, attrs):
    graph = around(op, attrs)
    x = images((1, 2, 6, 6), 2)
    without = run_float(around("rescale", {"factor": 1.0}), x)[0]

    assert remove_noop(graph) == 0

    ours = run_float(graph, x)[0]
    assert ours.shape != without.shape or not torch.equal(ours, without)


def test_reshapes_in_a_row_become_one():
    sketch = Sketch(2, 6, 6)
    sketch.add("a", "reshape", "x", shape=(-1, 72))
    sketch.add("b", "reshape", "a", shape=(-1, 9, 8))
    sketch.add("c", "reshape", "b", shape=(-1, 4, 18))
    graph = sketch.done()

    assert remove_noop(graph) > 0

    assert [node.name for node in graph] == ["x", "c"]
    assert remove_noop(graph) == 0


def test_an_output_that_changed_nothing_is_its_input():
    sketch = Sketch(2, 6, 6)
    sketch.add("tanh", "tanh", "x")
    sketch.add("same", "rescale", "tanh", factor=1.0)
    graph = sketch.done("same", "tanh")

    remove_noop(graph)

    assert graph.outputs == ["tanh", "tanh"]


def test_constants_are_computed_once():
    sketch = Sketch(2, 6, 6)
    sketch.constant("c", torch.tensor([2.0, 3.0]))
    sketch.add("shaped", "reshape", "c", shape=(2, 1, 1))
    sketch.add("half", "rescale", "shaped", factor=0.5)
    sketch.add("mul", "mul", "x", "half")
    graph = sketch.done()

    assert fold_constants(graph) == 2

    assert [node.name for node in graph] == ["x", "half", "mul"]
    assert torch.equal(graph.params["half.value"], torch.tensor([[[1.0]], [[1.5]]]))


def test_random_calls_are_not_constants():
    sketch = Sketch(2, 6, 6)
    sketch.add(
        "random",
        "opaque",
        call=torch.ops.aten.rand.default,
        args=([2, 1, 1],),
        kwargs={},
        output=None,
    )
    sketch.add("mul", "mul", "x", "random")

    assert fold_constants(sketch.done()) == 0
