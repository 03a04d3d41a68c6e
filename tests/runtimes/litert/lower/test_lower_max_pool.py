"""Max pools without dilation and gaps: exact, in one partition."""

from __future__ import annotations

from typing import Any

import pytest

from architectures import images
from architectures.sketch import Sketch
from intaglio.ir.graph import Graph
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.lower.lower_max_pool import lower_max_pool
from passes.same_function import assert_same_function, ops
from runtimes.litert.lower.settled import assert_held

SHAPE = (3, 9, 8)
X = images((1, *SHAPE), 2)
RELU = (0.0, float("inf"))
FORMS: list[dict[str, Any]] = [
    {"kernel": (1, 1), "stride": (2, 2)},
    {"kernel": (1, 1), "stride": (2, 3), "activation": RELU},
    {"kernel": (2, 2), "stride": (3, 3)},
    {"kernel": (1, 2), "stride": (2, 1), "padding": (0, 0, 1, 0), "activation": (0.0, 6.0)},
    {"kernel": (2, 2), "dilation": (2, 2)},
    {"kernel": (3, 2), "dilation": (2, 3), "stride": (2, 1), "padding": (1, 2, 1, 0)},
    {"kernel": (3, 1), "dilation": (2, 1), "stride": (1, 2)},
]


def pool(attrs: dict[str, Any]) -> Graph:
    sketch = Sketch(*SHAPE)
    sketch.conv("conv", "x", 3, kernel=1)
    sketch.add("pool", "max_pool2d", "conv", **attrs)
    return sketch.done()


@pytest.mark.parametrize("attrs", FORMS)
def test_what_is_left_are_plain_pools_and_picks(attrs):
    graph = pool(attrs)
    after = graph.copy()

    assert lower_max_pool(after) >= 1

    for node in after:
        if node.op == "max_pool2d":
            assert node.attrs["dilation"] == (1, 1)
            assert node.attrs["stride"] == (1, 1)
    assert_same_function(after, graph, X, exact=True)
    assert lower_max_pool(after) == 0


def test_a_window_of_one_pixel_is_only_picked():
    after = pool(FORMS[0])

    lower_max_pool(after)

    assert ops(after) == ["conv2d", "conv2d"]
    assert after["pool"].attrs["stride"] == (2, 2)


@pytest.mark.parametrize(
    "attrs",
    [{"kernel": (3, 3), "stride": (2, 2)}, {"kernel": (1, 2), "dilation": (2, 1)}],
)
def test_a_plain_pool_stays(attrs):
    assert lower_max_pool(pool(attrs)) == 0
    assert_held(pool(attrs), LITERT, X)


@pytest.mark.parametrize("target", [LITERT, LITERT_REFERENCE])
@pytest.mark.parametrize("attrs", FORMS)
def test_the_file_holds_them_to_the_bit(attrs, target):
    assert_held(pool(attrs), target, X)
