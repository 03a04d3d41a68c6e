"""Nearest resizing is copies and picks: exact, in one partition."""

from __future__ import annotations

import pytest

from architectures import images
from architectures.sketch import Sketch
from intaglio.ir.graph import Graph
from intaglio.ir.text import text
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.lower.lower_nearest import lower_nearest
from passes.same_function import assert_same_function, nodes, ops
from runtimes.litert.lower.settled import assert_held

SHAPE = (3, 6, 4)
X = images((1, *SHAPE), 2)


def resized(height: float, width: float, **attrs) -> Graph:
    sketch = Sketch(*SHAPE)
    sketch.add("up", "resize", "x", size=(int(6 * height), int(4 * width)), **attrs)
    return sketch.done()


def lowered(graph: Graph, changes: int = 1) -> Graph:
    after = graph.copy()
    assert lower_nearest(after) == changes
    assert_same_function(after, graph, X, exact=True)
    if not changes:
        assert text(after) == text(graph)
    return after


def test_twice_is_four_copies_and_depth_to_space():
    assert nodes(lowered(resized(2, 2))) == [
        "up.copies = concat(x, x, x, x) {axis=1}",
        "up = depth_to_space(up.copies) {block=2}",
    ]


@pytest.mark.parametrize(("factor", "doublings"), [(4, 2), (8, 3)])
def test_four_and_eight_times_is_doubled_again(factor, doublings):
    after = lowered(resized(factor, factor))

    assert ops(after) == ["concat", "depth_to_space"] * doublings
    assert after.outputs == ["up"]


@pytest.mark.parametrize("factors", [(3, 3), (2, 3), (1, 3), (5, 1), (6, 6), (16, 2)])
def test_other_integers_repeat_columns_and_then_rows(factors):
    after = lowered(resized(*factors))

    assert set(ops(after)) == {"reshape", "concat"}
    assert ops(after).count("concat") == sum(factor > 1 for factor in factors)


@pytest.mark.parametrize(("factors", "stride"), [((0.5, 0.5), (2, 2)), ((1 / 3, 1), (3, 1))])
def test_every_so_many_th_pixel_is_picked(factors, stride):
    after = lowered(resized(*factors))

    assert ops(after) == ["conv2d"]
    assert after["up"].attrs["stride"] == stride


@pytest.mark.parametrize("factors", [(1.5, 1.5), (4 / 3, 0.75), (2, 0.5)])
def test_a_ratio_is_an_enlargement_from_which_pixels_are_picked(factors):
    after = lowered(resized(*factors))

    assert ops(after)[-1] == "conv2d"
    assert "resize" not in ops(after)


@pytest.mark.parametrize("scales", [(2.0, 2.0), (4.0, 4.0), (3.0, 2.0)])
def test_the_factor_that_the_user_gave_is_the_same(scales):
    assert "resize" not in ops(lowered(resized(*scales, scales=scales)))


@pytest.mark.parametrize(
    ("factors", "attrs"),
    [
        ((17, 17), {}),
        ((7 / 6, 1.25), {}),
        ((2, 2), {"mode": "bilinear"}),
    ],
)
def test_others_stay(factors, attrs):
    lowered(resized(*factors, **attrs), 0)


def test_a_factor_that_only_rounds_to_four_stays():
    # torch reads pixel floor(k / 4.05), a file floor(k / 4)
    sketch = Sketch(*SHAPE)
    sketch.add("up", "resize", "x", size=(24, 16), scales=(4.05, 4.05))

    lowered(sketch.done(), 0)


@pytest.mark.parametrize("target", [LITERT, LITERT_REFERENCE])
@pytest.mark.parametrize("factors", [(3, 3), (2, 3), (1, 3), (0.5, 0.5), (1.5, 1.5)])
def test_the_file_holds_them_to_the_bit(factors, target):
    assert_held(resized(*factors), target, X)
