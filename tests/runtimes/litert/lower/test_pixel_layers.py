"""Resizes and adaptive pools as linear layers over pixels: torch's function, held to the bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from architectures import images
from architectures.sketch import Sketch
from intaglio.ir.graph import Graph
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.lower.pixel_layers import LARGEST_MATRIX, lower_resize
from intaglio.runtimes.litert.ops.resize import taps_agree
from passes.same_function import assert_same_function, ops
from runtimes.litert.lower.settled import assert_held

SHAPE = (3, 6, 5)
X = images((1, *SHAPE), 2)
FORMS: dict[str, dict[str, Any]] = {
    "a factor": {"size": (7, 6), "mode": "bilinear", "scales": (1.3, 1.3)},
    "a factor below 1": {"size": (2, 3), "mode": "bilinear", "scales": (0.4, 0.7)},
    "nearest by a factor": {"size": (7, 6), "scales": (1.3, 1.3)},
    "sizes": {"size": (6, 67), "mode": "bilinear"},
    "large sizes": {"size": (30, 80), "mode": "bilinear", "scales": (5.1, 16.1)},
}


def resized(attrs: dict[str, Any]) -> Graph:
    sketch = Sketch(*SHAPE)
    sketch.add("y", "resize", "x", **attrs)
    return sketch.done()


@pytest.mark.parametrize("name", FORMS)
def test_what_no_kernel_does_alike_is_linear(name):
    graph = resized(FORMS[name])
    after = graph.copy()

    assert lower_resize(after) == 1

    assert set(ops(after)) <= {"reshape", "linear", "transpose"}
    assert_same_function(after, graph, X)
    assert lower_resize(after) == 0


def test_the_cases_are_such_that_processors_differ_or_a_layer_would_be_large():
    assert not taps_agree(5, 67, align=False)
    assert LARGEST_MATRIX < 6 * 5 * 30 * 80


@pytest.mark.parametrize(
    "attrs",
    [
        {"size": (12, 10), "mode": "bilinear"},
        {"size": (6, 67), "mode": "bilinear", "align_corners": True},
        {"size": (12, 10), "mode": "bilinear", "scales": (2.0, 2.0)},
        {"size": (7, 6)},
    ],
)
def test_what_a_kernel_does_stays(attrs):
    assert lower_resize(resized(attrs)) == 0


@pytest.mark.parametrize("target", [LITERT, LITERT_REFERENCE])
@pytest.mark.parametrize("name", FORMS)
def test_the_file_holds_them_to_the_bit(name, target):
    torch.manual_seed(0)

    assert_held(resized(FORMS[name]), target, X)
