"""Constants behind a layer become its weights: the same function, and only where they may."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from architectures import images
from architectures.sketch import Sketch
from intaglio.ir.text import text
from intaglio.passes.canonicalize import canonicalize
from intaglio.passes.fold_channel_constants import fold_channel_constants
from intaglio.run.float import run_float
from passes.same_function import assert_same_function, nodes

X = images((1, 4, 6, 6), 3)
OPS = ("add", "sub", "mul", "div")
SHAPES = ((), (1,), (8, 1, 1), (1, 8, 1, 1), (1, 1, 1, 1))
"""Of constants that say one number for each of eight channels, or for all."""


def layer(sketch: Sketch, op: str, groups: int, *, has_bias: bool) -> str:
    """Append a layer of eight channels that reads four."""
    shape = {
        "conv2d": (8, 4 // groups, 3, 3),
        "conv_transpose2d": (4, 8 // groups, 3, 3),
    }[op]
    weights = {"weight": sketch.random(*shape)}
    if has_bias:
        weights["bias"] = sketch.random(8)
    return sketch.weighted("layer", op, "x", weights, groups=groups)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["conv2d", "conv_transpose2d"]),
    st.sampled_from([1, 2, 4]),
    st.booleans(),
    st.lists(
        st.tuples(st.sampled_from(OPS), st.booleans(), st.sampled_from(SHAPES)),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 10_000),
)
def test_any_row_of_constants_folds_and_keeps_the_function(op, groups, has_bias, row, seed):
    sketch = Sketch(4, 6, 6, seed=seed)
    value = layer(sketch, op, groups, has_bias=has_bias)
    for index, (name, is_first, shape) in enumerate(row):
        numbers = sketch.random(*shape)
        if name == "div":  # by no less than a half: rounding is not to be blown up
            numbers = numbers.sign() * (numbers.abs() + 0.5)
        constant = sketch.constant(f"c{index}", numbers)
        is_first = is_first and name != "div"
        pair = (constant, value) if is_first else (value, constant)
        value = sketch.add(f"n{index}", name, *pair)
    graph = sketch.done()
    before = graph.copy()

    assert fold_channel_constants(graph) == len(row)

    assert [node.name for node in graph] == ["x", "layer"]
    assert graph.outputs == ["layer"]
    # Where numbers of a row all but cancel, the result has the rounding of what cancelled: terms
    # are compared in float64, on the one line that all of the row are.
    exact = run_float(doubled(before), X.double())[0]
    found = run_float(doubled(graph), X.double())[0]
    size = exact.abs().max() + sum(
        float(before.params[key].abs().max()) * 100 for key in before.params if key[0] == "c"
    )
    assert (found - exact).abs().max() <= 1e-6 * size
    assert fold_channel_constants(graph) == 0


def doubled(graph):
    """Return a graph whose weights are float64."""
    copy = graph.copy()
    copy.params = {key: value.double() for key, value in copy.params.items()}
    return copy
