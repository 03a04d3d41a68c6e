"""How near boxes are: closed forms of pairs that can be counted on squared paper."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import torch
from hypothesis import given

from intaglio.tasks.detect.losses.nearness import complete_overlaps, generalized_overlaps

WHOLE = torch.tensor([0.0, 0, 4, 4])
LOW, SIDE = st.floats(-50, 50), st.floats(1, 60)
BOX = st.tuples(LOW, LOW, SIDE, SIDE)


def box(corner):
    return torch.tensor([corner[0], corner[1], corner[0] + corner[2], corner[1] + corner[3]])


def test_a_box_is_as_near_as_can_be_to_itself():
    # but for what keeps divisors from 0, 1e-7 of an area of 16
    assert abs(complete_overlaps(WHOLE, WHOLE) - 1) < 1e-6
    assert abs(generalized_overlaps(WHOLE, WHOLE) - 1) < 1e-6


def test_boxes_side_by_side_are_told_apart_from_those_far_away():
    beside, away = torch.tensor([4.0, 0, 8, 4]), torch.tensor([36.0, 0, 40, 4])

    # nothing in common; around them 8 x 4 and 40 x 4; centres 4 and 36 apart
    assert math.isclose(generalized_overlaps(WHOLE, beside).item(), 0.0, abs_tol=1e-6)
    assert math.isclose(generalized_overlaps(WHOLE, away).item(), -(160 - 32) / 160, rel_tol=1e-6)
    assert math.isclose(complete_overlaps(WHOLE, beside).item(), -16 / 80, rel_tol=1e-6)
    assert math.isclose(complete_overlaps(WHOLE, away).item(), -(36**2) / 1616, rel_tol=1e-6)


def test_another_shape_around_the_same_centre_costs_by_its_angle():
    wide = torch.tensor([-2.0, 1, 6, 3])  # 8 x 2 around the centre of 4 x 4
    overlap = 8 / (16 + 16 - 8)
    unlike = 4 / math.pi**2 * (math.atan(4) - math.atan(1)) ** 2

    found = complete_overlaps(wide, WHOLE)

    expected = overlap - unlike * unlike / (1 - overlap + unlike)
    assert math.isclose(found.item(), expected, rel_tol=1e-5)


@given(BOX, BOX)
def test_they_are_between_their_limits_and_have_gradients_everywhere(first, second):
    a, b = box(first).requires_grad_(), box(second)

    complete, general = complete_overlaps(a, b), generalized_overlaps(a, b)
    (complete + general).backward()

    # one part in 10^6 is what float32 leaves of 1
    assert -1.5 - 1e-6 <= complete <= 1 + 1e-6
    assert -1 - 1e-6 <= general <= 1 + 1e-6
    assert bool(a.grad.isfinite().all())
