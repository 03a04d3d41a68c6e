"""Which position is to find which object: against a loop over every pair."""

from __future__ import annotations

import hypothesis.strategies as st
import torch
from hypothesis import given

from boxes.plain import overlap
from intaglio.tasks.detect.losses.match import BACKGROUND, IGNORED, Rule, matched
from tasks.detect.losses.made import wanted_boxes

SIDE = st.integers(1, 12)
BOXES = st.lists(st.tuples(SIDE, SIDE, SIDE, SIDE), min_size=1, max_size=9)
FEW = st.lists(st.tuples(SIDE, SIDE, SIDE, SIDE), max_size=4)


def corners(boxes):
    return [(x, y, x + width, y + height) for x, y, width, height in boxes]


def plainly(anchors, objects, rule):
    """Each position, then each object's best, those that overlap most last."""
    found = []
    for anchor in anchors:
        pairs = [overlap(anchor, one) for one in objects]
        most = max(pairs, default=0.0)
        if objects and most >= rule.positive:
            found.append(pairs.index(most))
        else:
            found.append(IGNORED if objects and most >= rule.negative else BACKGROUND)
    if rule.keeps_best:
        best = []
        for number, one in enumerate(objects):
            pairs = [overlap(anchor, one) for anchor in anchors]
            best.append((max(pairs), number, pairs.index(max(pairs))))
        for most, number, where in sorted(best):
            if most > 0:
                found[where] = number
    return found


# Overlaps of small whole boxes are ratios of whole numbers below 2^9, so that float32 and Python's
# own numbers order them alike; 0.5 and 0.25 are exact in both, which 0.4 is not.
@given(BOXES, FEW, st.sampled_from([(0.5, 0.5), (0.5, 0.25), (0.75, 0.25)]), st.booleans())
def test_positions_find_what_looking_at_every_pair_says(anchors, objects, limits, keeps_best):
    rule = Rule(*limits, keeps_best)
    boxes, things = corners(anchors), corners(objects)
    wanted = wanted_boxes([(*box, 1) for box in things])

    found = matched(torch.tensor(boxes, dtype=torch.float32), wanted, rule)

    assert found.tolist() == plainly(boxes, things, rule)


def test_an_object_that_no_anchor_fits_still_has_the_best_one():
    anchors = torch.tensor([[0, 0, 10, 10], [40, 40, 60, 60.0]])

    found = matched(anchors, wanted_boxes([[2, 2, 4, 4, 1]]), Rule(0.5, 0.5))

    assert found.tolist() == [0, BACKGROUND]


def test_an_object_that_touches_no_anchor_has_none():
    anchors = torch.tensor([[0, 0, 10, 10.0]])

    found = matched(anchors, wanted_boxes([[30, 30, 40, 40, 1]]), Rule(0.5, 0.5))

    assert found.tolist() == [BACKGROUND]


def test_of_two_objects_with_the_same_best_anchor_the_nearer_one_has_it():
    anchors = torch.tensor([[0, 0, 10, 10.0]])
    near, far = [0, 0, 10, 8, 1], [0, 0, 10, 4, 2]

    for objects in ([near, far], [far, near]):
        found = matched(anchors, wanted_boxes(objects), Rule(0.5, 0.5))
        assert objects[int(found[0])] == near


def test_what_lies_in_a_crowd_is_left_alone_but_for_what_is_to_find_an_object():
    anchors = torch.tensor([[0, 0, 10, 10], [0, 6, 10, 16], [4, 0, 14, 10], [6, 0, 16, 10.0]])
    wanted = wanted_boxes([[0, 0, 10, 10, 1]], crowd=[[0, 0, 10, 12]])

    found = matched(anchors, wanted, Rule(0.9, 0.9))

    # a share of 1, of 0.6, of 0.6 and of 0.4 of each lies in the crowd
    assert found.tolist() == [0, IGNORED, IGNORED, BACKGROUND]
