"""Non-maximum suppression: what stays, what goes, in which order."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from boxes.plain import overlap
from intaglio.boxes.nms import falling, overlaps, suppressed, suppressed_by

SIDE = st.integers(0, 12)
BOXES = st.lists(st.tuples(SIDE, SIDE, SIDE, SIDE), max_size=14)


def as_boxes(corners):
    boxes = np.asarray(corners, np.float32).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def plainly_kept(boxes, scores, limit, groups):
    """Every pair is looked at, in the order of scores."""
    order = sorted(range(len(boxes)), key=lambda index: (-scores[index], index))
    kept = []
    for index in order:
        rivals = [other for other in kept if groups[other] == groups[index]]
        if all(overlap(boxes[index], boxes[other]) <= limit for other in rivals):
            kept.append(index)
    return kept


# Coordinates are small whole numbers and limits eighths: areas and overlaps that equal a limit are
# exact in float32 as in Python's own numbers.
@given(BOXES, st.data(), st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0]))
def test_suppression_is_what_looking_at_every_pair_gives(corners, data, limit):
    boxes = as_boxes(corners)
    few = st.lists(st.sampled_from([0.125, 0.5, 0.75]), min_size=len(boxes), max_size=len(boxes))
    scores = np.asarray(data.draw(few), np.float32)

    kept = suppressed(boxes, scores, limit)

    assert kept.tolist() == plainly_kept(boxes.tolist(), scores, limit, [0] * len(boxes))


@given(BOXES, st.data(), st.sampled_from([0.0, 0.25, 0.5]), st.sampled_from([None, 1, 3]))
def test_boxes_of_other_groups_are_left_alone(corners, data, limit, most):
    boxes = as_boxes(corners)
    own = st.lists(st.integers(0, 2), min_size=len(boxes), max_size=len(boxes))
    groups = np.asarray(data.draw(own), np.int64)
    scores = np.asarray(data.draw(own), np.float32)

    kept = suppressed_by(boxes, scores, groups, limit, most=most)

    assert kept.tolist() == plainly_kept(boxes.tolist(), scores, limit, groups)[:most]


@given(BOXES, BOXES)
def test_overlaps_are_those_of_each_pair_and_from_0_to_1(first, second):
    a, b = as_boxes(first), as_boxes(second)

    shares = overlaps(a, b)

    assert shares.shape == (len(a), len(b))
    for row, one in zip(shares, a.tolist(), strict=True):
        # one division in float32 is exact to half of its last place, 6e-8 at most
        assert row.tolist() == pytest.approx(
            [overlap(one, other) for other in b.tolist()], abs=6e-8
        )


def test_overlaps_of_known_pairs():
    box = as_boxes([(0, 0, 4, 4)])
    others = as_boxes([(0, 0, 4, 4), (2, 0, 4, 4), (4, 0, 4, 4), (1, 1, 2, 2), (0, 0, 0, 0)])

    assert overlaps(box, others)[0].tolist() == pytest.approx([1, 1 / 3, 0, 1 / 4, 0])


def test_a_box_that_overlaps_by_exactly_the_limit_stays():
    boxes = as_boxes([(0, 0, 4, 4), (0, 0, 4, 2)])
    scores = np.asarray([0.9, 0.8], np.float32)

    assert suppressed(boxes, scores, 0.5).tolist() == [0, 1]
    assert suppressed(boxes, scores, 0.49).tolist() == [0]


def test_of_equal_scores_the_first_stays():
    boxes = as_boxes([(0, 0, 4, 4)] * 3)

    assert suppressed(boxes, np.full(3, 0.5, np.float32), 0.5).tolist() == [0]


def test_a_removed_box_removes_nothing():
    chain = as_boxes([(0, 0, 10, 4), (4, 0, 10, 4), (8, 0, 10, 4)])
    scores = np.asarray([0.9, 0.8, 0.7], np.float32)

    assert suppressed(chain, scores, 0.4).tolist() == [0, 2]


def test_nothing_suppresses_nothing():
    none = np.empty((0, 4), np.float32)

    assert suppressed(none, none[:, 0], 0.5).shape == (0,)
    assert suppressed_by(none, none[:, 0], none[:, 0].astype(np.int64), 0.5).shape == (0,)


def test_no_more_than_asked_for_are_kept():
    boxes = as_boxes([(10 * i, 0, 4, 4) for i in range(5)])
    scores = np.asarray([0.1, 0.5, 0.3, 0.4, 0.2], np.float32)

    assert suppressed(boxes, scores, 0.5, most=3).tolist() == [1, 3, 2]


def test_falling_keeps_the_order_of_ties():
    assert falling(np.asarray([1, 3, 3, 2, 3], np.float32)).tolist() == [1, 2, 4, 3, 0]
