"""Which concatenations stay in float: those of unequal parts, behind which values only move."""

from __future__ import annotations

import pytest
import torch

from architectures.sketch import Sketch
from calibrate.planned import planned
from intaglio.calibrate.encodings import choose_encodings
from intaglio.calibrate.float_islands import BETWEEN
from intaglio.calibrate.float_tails import JOINED, unequal_tails
from intaglio.calibrate.plan import observed_values
from intaglio.ir.graph import Graph
from intaglio.numerics.plan import Plan
from intaglio.runtimes import LITERT
from intaglio.targets.runtime import Ranges

Bounds = tuple[float, float]
WIDE, NARROW = (-3.0, 637.0), (0.0, 1.0)


def parts(*names: str) -> Sketch:
    """Return convolutions of the image, one by each name."""
    sketch = Sketch(3, 8, 8)
    for name in names:
        sketch.conv(name, "x", 4, 1)
    return sketch


def seen(**bounds: Bounds) -> Ranges:
    """Return ranges as calibration gives them; the image's too."""
    given = {"x": (-1.0, 1.0), **bounds}
    return {name: (torch.tensor(low), torch.tensor(high)) for name, (low, high) in given.items()}


def tails(graph: Graph, **bounds: Bounds) -> dict[str, str]:
    """Return what stays in float where values have these ranges."""
    return unequal_tails(*planned(graph, LITERT, "w8a8"), seen(**bounds), LITERT)


def second_plan(graph: Graph, **bounds: Bounds) -> Plan:
    """Return the plan with tails; it needs no range that was not seen for the first."""
    first, plan = planned(graph, LITERT, "w8a8")
    assert observed_values(first, plan) == seen(**bounds).keys()
    found = unequal_tails(first, plan, seen(**bounds), LITERT)
    graph, plan = planned(graph, LITERT, "w8a8", float_tails=found)
    assert observed_values(graph, plan) <= seen(**bounds).keys()
    return plan


def test_boxes_beside_scores_stay_in_float_and_the_reason_says_what_would_be_lost():
    sketch = parts("boxes", "scores")
    graph = sketch.done(sketch.add("joined", "concat", "boxes", "scores", axis=1))

    (reason,) = tails(graph, boxes=(0.0, 51.0), scores=(0.0, 1.0)).values()

    assert "one grid would leave the narrowest with 5 of 255 steps" in reason


@pytest.mark.parametrize(
    ("first", "second", "is_unequal"),
    [
        ((0.0, 4.0), (0.0, 1.0), False),  # exactly six bits are left
        ((0.0, 4.1), (0.0, 1.0), True),
        ((-2.0, 2.0), (-1.0, 0.0), False),
        ((0.0, 1.0), (-5.0, 0.0), True),  # a fifth, or less, of what both span
        ((0.0, 640.0), (600.0, 640.0), False),  # zero lies on every grid: none is finer for it
        ((0.0, 640.0), (0.0, 0.0), False),  # zeros are exact on every grid
        ((0.0, 0.0), (0.0, 0.0), False),
    ],
)
def test_parts_are_unequal_where_two_bits_are_lost_to_the_common_grid(first, second, is_unequal):
    sketch = parts("a", "b")
    graph = sketch.done(sketch.add("joined", "concat", "a", "b", axis=1))

    assert bool(tails(graph, a=first, b=second)) is is_unequal


def test_a_concatenation_in_the_middle_stays_integer():
    middle, also_read = parts("a", "b"), parts("a", "b")
    middle.add("joined", "concat", "a", "b", axis=1)
    middle.conv("c", "joined", 4)
    also_read.add("joined", "concat", "a", "b", axis=1)
    also_read.add("flat", "reshape", "joined", shape=(-1, 512))
    also_read.clamp("c", "flat")

    assert tails(middle.done(), a=WIDE, b=NARROW, c=WIDE) == {}
    assert tails(also_read.done("joined", "c"), a=WIDE, b=NARROW, c=WIDE) == {}


def test_values_are_moved_from_there_to_outputs_in_float_and_parts_have_their_own_grids():
    sketch = parts("boxes", "logits")
    sketch.add("scores", "sigmoid", "logits")
    sketch.add("flat", "reshape", "boxes", shape=(-1, 4, 64))
    sketch.add("flat.scores", "reshape", "scores", shape=(-1, 4, 64))
    sketch.add("joined", "concat", "flat", "flat.scores", axis=1)
    sketch.add("turned", "transpose", "joined", order=(0, 2, 1))
    sketch.add("first", "slice", "turned", axis=1, start=0, stop=9)
    bounds = {"boxes": WIDE, "logits": (-4.0, 4.0), "scores": (0.1, 0.9)}

    plan = second_plan(sketch.done("turned", "first"), **bounds)

    assert plan.kept_float.keys() == {"joined", "turned", "first"}
    assert plan.kept_float["turned"] == plan.kept_float["first"] == BETWEEN
    assert [group for group in plan.groups if len(group) > 1] == [
        ("boxes", "flat"),
        ("scores", "flat.scores"),
    ]


def test_a_sigmoid_without_a_common_grid_has_the_prescribed_one_and_a_rescale_its_sources():
    sketch = parts("a", "logits")
    sketch.add("scores", "sigmoid", "logits")
    sketch.add("boxes", "rescale", "a", factor=160.0)
    graph = sketch.done(sketch.add("joined", "concat", "boxes", "scores", axis=1))
    bounds = {"a": (0.0, 4.0), "boxes": (0.0, 640.0), "logits": (-4.0, 4.0), "scores": (0.1, 0.9)}

    plan = second_plan(graph, **bounds)
    grids = choose_encodings(graph, plan, seen(**bounds), LITERT).activations

    assert float(grids["scores"].step) == 1 / 256
    assert plan.derived == {"boxes": ("a", 160.0)}
    assert "joined" not in grids


def test_a_part_is_as_wide_as_its_grid_which_others_may_have_widened():
    sketch = parts("a", "b", "wide")
    sketch.add("middle", "concat", "b", "wide", axis=1)
    sketch.conv("c", "middle", 4)
    sketch.add("joined", "concat", "a", "b", axis=1)
    bounds = {"a": (0.0, 640.0), "b": (0.0, 1.0), "c": NARROW}

    assert tails(sketch.done("joined", "c"), **bounds, wide=(0.0, 1.0)).keys() == {"joined"}
    assert tails(sketch.done("joined", "c"), **bounds, wide=(0.0, 640.0)) == {}


def levels(*, boxes: tuple[Bounds, Bounds]) -> tuple[dict[str, str], Plan]:
    """Return what stays in float of two levels of boxes joined, then turned beside scores."""
    sketch = parts("near", "far", "scores")
    sketch.add("boxes", "concat", "near", "far", axis=2)
    sketch.add("turned", "reshape", "boxes", shape=(-1, 4, 128))
    sketch.add("flat", "reshape", "scores", shape=(-1, 4, 64))
    sketch.add("all", "concat", "turned", "flat", axis=2)
    graph = sketch.done()
    bounds = {"near": boxes[0], "far": boxes[1], "scores": NARROW}
    return tails(graph, **bounds), second_plan(graph, **bounds)


def test_equal_levels_are_joined_in_integers_before_they_stand_beside_scores():
    found, plan = levels(boxes=((0.0, 640.0), (0.0, 300.0)))

    assert found.keys() == {"all"}
    assert ("near", "far", "boxes", "turned") in plan.groups


def test_unequal_levels_have_each_its_own_grid():
    found, plan = levels(boxes=((0.0, 1.0), (0.0, 10.0)))

    assert found.keys() == {"boxes", "all"}
    assert found["all"] == JOINED
    assert "turned" in plan.kept_float
    assert all(len(group) == 1 for group in plan.groups if "near" in group or "far" in group)


def test_what_a_final_softmax_reads_is_joined_in_float():
    sketch = parts("a", "b")
    sketch.add("joined", "concat", "a", "b", axis=1)
    sketch.add("scores", "softmax", "joined", axis=1)

    plan = second_plan(sketch.done(), a=WIDE, b=NARROW)

    assert plan.kept_float.keys() == {"joined", "scores"}


def test_an_image_that_is_joined_at_the_end_is_read_as_integers():
    sketch = parts("a")
    sketch.add("joined", "concat", "a", "x", axis=1)

    plan = second_plan(sketch.done(), a=WIDE)

    assert plan.kept_float.keys() == {"joined"}
