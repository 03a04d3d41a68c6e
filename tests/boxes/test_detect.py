"""What every detector's detections hold to, whatever the family."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from intaglio.boxes.coders import Centers
from intaglio.boxes.detect import clipped, detections
from intaglio.boxes.detections import NOTHING
from intaglio.boxes.families import corners
from intaglio.boxes.limits import Limits
from intaglio.boxes.postprocess import Selection, Suppression

INPUT = (40, 60)
ALL = Limits(0.1, None, 1.0, 100)
BOXES = np.asarray([[0, 0, 10, 10], [20, 0, 30, 10], [0, 20, 10, 30]], np.float32)


def found(boxes, scores, **changes):
    """Detections in one picture, of boxes [n, 4] with scores [n, classes]."""
    scores = np.asarray(scores, np.float32)
    post = corners(INPUT, len(boxes), classes=scores.shape[1], limits=ALL)
    (one,) = detections(replace(post, **changes), [np.asarray(boxes)[None], scores[None]])
    return one


def test_detections_fall_in_score_and_ties_keep_the_order_of_positions():
    one = found(BOXES, [[0.5], [0.75], [0.5]])

    assert one.scores.tolist() == [0.75, 0.5, 0.5]
    assert one.boxes.tolist() == BOXES[[1, 0, 2]].tolist()


def test_a_box_may_be_of_several_classes():
    one = found(BOXES[:1], [[0.5, 0.25, 0.75]], select=Selection(0.3))

    assert one.classes.tolist() == [2, 0]


def test_no_more_than_most_are_kept_with_or_without_suppression():
    scores = [[0.5], [0.75], [0.25]]

    for suppress in (None, Suppression(0.5), Suppression(0.5, "all")):
        one = found(BOXES, scores, most=2, suppress=suppress)
        assert one.scores.tolist() == [0.75, 0.5]


def test_boxes_of_all_classes_remove_each_other_only_where_asked():
    twice = BOXES[[0, 0]]
    scores = [[0.5, 0], [0, 0.75]]

    assert found(twice, scores, suppress=Suppression(0.5, "class")).classes.tolist() == [1, 0]
    assert found(twice, scores, suppress=Suppression(0.5, "all")).classes.tolist() == [1]
    assert found(twice, scores, suppress=None).classes.tolist() == [1, 0]


def test_boxes_are_cut_off_at_the_border_before_they_are_compared():
    # Apart from what lies outside, both are the same.
    outside = np.asarray([[50, 0, 60, 10], [50, 0, 600, 10]], np.float32)
    one = found(outside, [[0.75], [0.5]], suppress=Suppression(0.9))
    both = found(outside, [[0.75], [0.5]], suppress=Suppression(0.9), clip=False)

    assert one.boxes.tolist() == [[50, 0, 60, 10]]
    assert both.boxes.tolist() == outside.tolist()


def test_nothing_lies_outside_after_clipping():
    wild = np.random.default_rng(0).normal(0, 100, (50, 4)).astype(np.float32)

    cut = clipped(wild, INPUT)

    assert cut.min() == 0
    assert (cut[:, 0::2] <= 60).all()
    assert (cut[:, 1::2] <= 40).all()


def test_small_boxes_are_dropped_and_a_side_of_exactly_the_smallest_is_not():
    boxes = np.asarray([[0, 0, 2, 9], [0, 0, 9, 2], [0, 0, 1.5, 9], [0, 0, 9, 1.5]], np.float32)

    assert len(found(boxes, [[0.5]] * 4, smallest=2.0)) == 2


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_boxes_that_are_not_finite_are_dropped(value):
    boxes = BOXES.copy()
    boxes[1, 2] = value

    assert found(boxes, [[0.5], [0.75], [0.25]]).scores.tolist() == [0.5, 0.25]


def test_scores_that_are_no_numbers_are_dropped():
    assert found(BOXES, [[np.nan], [0.75], [np.inf]], most=9).scores.tolist() == [np.inf, 0.75]


@pytest.mark.parametrize("suppress", [None, Suppression(0.5)])
def test_a_picture_in_which_nothing_is_found_has_no_detections(suppress):
    one = found(BOXES, [[0.01]] * 3, suppress=suppress)

    assert len(one) == 0
    for name in ("boxes", "scores", "classes"):
        empty, expected = getattr(one, name), getattr(NOTHING, name)
        assert (empty.shape, empty.dtype) == (expected.shape, expected.dtype)


def test_types_are_those_of_detections():
    one = found(BOXES.astype(np.float64), [[0.5]] * 3)

    assert (one.boxes.dtype, one.scores.dtype) == (np.float32, np.float32)
    assert one.classes.dtype == np.int64


def test_pictures_of_a_batch_are_found_as_alone():
    random = np.random.default_rng(1)
    outputs = [random.uniform(0, 30, (4, 9, 4)), random.uniform(0, 1, (4, 9, 2))]
    outputs = [output.astype(np.float32) for output in outputs]
    post = corners(INPUT, 9, classes=2, coder=Centers())

    together = detections(post, outputs)

    for number, one in enumerate(together):
        (alone,) = detections(post, [output[number : number + 1] for output in outputs])
        assert np.array_equal(one.boxes, alone.boxes)
        assert np.array_equal(one.scores, alone.scores)


def test_outputs_are_not_changed():
    scores = np.asarray([[[0.5, 0.75]] * 3], np.float32)
    before = scores.copy()
    post = corners(INPUT, 3, classes=2)

    detections(
        replace(post, background=0, select=Selection(0.1, classes="best")), [BOXES[None], scores]
    )

    assert np.array_equal(scores, before)


def test_outputs_of_other_numbers_of_pictures_are_refused():
    post = corners(INPUT, 3, classes=1)

    with pytest.raises(ValueError, match=r"of \[1, 2\] pictures"):
        detections(post, [BOXES[None], np.zeros((2, 3, 1), np.float32)])
    with pytest.raises(ValueError, match=r"of \[\] pictures"):
        detections(post, [])


@pytest.mark.parametrize(
    "change",
    [
        {"activation": "relu"},
        {"combine": "sum"},
        {"background": 3},
        {"classes": 2},
        {"input_size": (40, 0)},
        {"input_size": (40,)},
        {"most": 0},
        {"names": ("one", "two")},
        {"names": (1, 2, 3)},
        {"smallest": -1.0},
        {"clip": 1},
        {"levels": ()},
        {"family": None},
    ],
    ids=str,
)
def test_a_description_refuses_nonsense(change):
    with pytest.raises(ValueError, match=r"must|names of|scores of"):
        replace(corners(INPUT, 3, classes=3), **change)
