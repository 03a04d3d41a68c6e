"""Borders of classes: closed forms, and a plain look at every pair of border pixels."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from intaglio.data.mask import IGNORED
from intaglio.tasks.segment.boundary import (
    boundary_counts,
    boundary_f,
    tolerance_of,
    widened,
)
from tasks.segment.maps_made import blobs

SIZE = (6, 7)
TRUTH = arrays(np.uint8, SIZE, elements=st.sampled_from([0, 0, 1, 1, 2, IGNORED]))
FOUND = arrays(np.uint8, SIZE, elements=st.integers(0, 3))
Places = set[tuple[int, int]]


def borders(classes: np.ndarray, ignored: np.ndarray) -> dict[int, Places]:
    """Return the border pixels of each class, neighbour by neighbour."""
    found: dict[int, Places] = {}
    for y, x in np.ndindex(classes.shape):
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            inside = 0 <= v < classes.shape[0] and 0 <= u < classes.shape[1]
            if not inside or ignored[y, x] or ignored[v, u] or classes[y, x] == classes[v, u]:
                continue
            found.setdefault(int(classes[y, x]), set()).add((y, x))
    return found


def near(place: tuple[int, int], others: Places, reach: int) -> bool:
    return any(max(abs(place[0] - y), abs(place[1] - x)) <= reach for y, x in others)


def plain_counts(truth: np.ndarray, found: np.ndarray, reach: int) -> list[list[int]]:
    ignored = truth == IGNORED
    hidden = {(int(y), int(x)) for y, x in np.argwhere(ignored)}
    there, drawn = borders(truth, ignored), borders(found, ignored)
    rows = []
    for number in sorted(set(truth[~ignored].tolist())):
        row = []
        for own, other in ((drawn, there), (there, drawn)):
            counted = [p for p in own.get(number, set()) if not near(p, hidden, reach)]
            row += [len(counted), sum(near(p, other.get(number, set()), reach) for p in counted)]
        rows.append(row)
    return rows


@settings(max_examples=80, deadline=None)
@given(TRUTH, FOUND, st.integers(1, 3))
def test_counts_are_what_looking_at_every_pair_gives(truth, found, reach):
    assert boundary_counts(truth, found, reach).tolist() == plain_counts(truth, found, reach)


def test_counts_of_more_classes_than_a_group_are_those_of_each():
    truth = np.arange(200, dtype=np.uint8).reshape(10, 20).repeat(3, 0).repeat(3, 1)
    found = np.roll(truth, 1, axis=1)

    assert boundary_counts(truth, found, 1).tolist() == plain_counts(truth, found, 1)


def test_the_same_map_has_an_f_of_1_and_one_without_the_class_0():
    truth = blobs(40, 50, 4)

    assert boundary_f(truth, truth) == 1.0
    assert boundary_f(truth, np.full_like(truth, 3 if truth[0, 0] != 3 else 2)) == 0.0


def halves(column: int) -> np.ndarray:
    made = np.zeros((20, 40), np.uint8)
    made[:, column:] = 1
    return made


@pytest.mark.parametrize(("moved", "wanted"), [(0, 1.0), (3, 1.0), (4, 0.0)])
def test_a_border_that_is_moved_counts_up_to_the_tolerance(moved, wanted):
    assert boundary_f(halves(20), halves(20 + moved), tolerance=3) == wanted


def test_f_is_of_precision_and_recall():
    truth, found = halves(20), halves(20)
    found[:, 30:] = 0  # a second border of both classes: half of what is drawn is right

    # precision 1/2, recall 1 of both classes
    assert boundary_f(truth, found, tolerance=3) == pytest.approx(2 / 3)


def test_the_border_of_the_picture_is_none_of_a_class():
    truth = np.zeros((8, 8), np.uint8)

    assert math.isnan(boundary_f(truth, truth))
    assert boundary_counts(truth, truth, 1).tolist() == [[0, 0, 0, 0]]


def test_a_class_that_is_only_found_is_not_asked_for_but_spoils_nothing_far_away():
    truth, found = halves(20), halves(20)
    found[5:8, 35:38] = 2

    each = boundary_counts(truth, found, 2)

    assert len(each) == 2  # of the truth's classes alone
    assert each[0].tolist() == [20, 20, 20, 20]
    assert each[1, 0] > each[1, 1] == 20  # the second class has a border around the stain


def test_a_border_that_is_hidden_by_ignored_pixels_counts_neither_way():
    truth, found = halves(20), halves(22)
    truth[:, 18:22] = IGNORED

    assert math.isnan(boundary_f(truth, found, tolerance=2))


def test_an_ignored_stain_far_from_a_border_changes_nothing():
    truth, found = halves(20), halves(22)
    plain = boundary_counts(truth, found, 2).tolist()
    truth[3:5, 3:5] = IGNORED

    assert boundary_counts(truth, found, 2).tolist() == plain


def test_what_is_all_ignored_has_no_border():
    truth = np.full((5, 5), IGNORED, np.uint8)

    assert boundary_counts(truth, np.zeros((5, 5), np.uint8), 1).shape == (0, 4)
    assert math.isnan(boundary_f(truth, np.zeros((5, 5), np.uint8)))


def test_the_tolerance_is_a_share_of_the_diagonal_and_a_pixel_at_least():
    assert tolerance_of((375, 500)) == 4  # 625 * 0.0075 = 4.7
    assert tolerance_of((10, 10)) == 1


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint8, (5, 6), elements=st.sampled_from([0, 0, 0, 1, 2, 4])), st.integers(0, 6))
def test_widened_has_the_bits_of_the_window(marks, reach):
    found = widened(marks, reach)

    for y, x in np.ndindex(marks.shape):
        rows = slice(max(y - reach, 0), y + reach + 1)
        window = marks[rows, max(x - reach, 0) : x + reach + 1]
        assert found[y, x] == np.bitwise_or.reduce(window, axis=None)
