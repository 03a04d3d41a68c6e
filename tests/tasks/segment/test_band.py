"""Near a border: by slow loops over all pairs of pixels, and by what must not be near one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from intaglio.data.mask import IGNORED
from intaglio.tasks.segment.band import REACH, band, reach_of, windowed

MAPS = arrays(
    np.uint8,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements=st.sampled_from([0, 1, 254, IGNORED]),
)


def around(values, row, column, reach):
    """Return the values at most `reach` rows and columns away."""
    return values[
        max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1
    ]


@settings(deadline=None)
@given(MAPS, st.integers(1, 5))
def test_a_pixel_is_near_where_another_class_is_within_reach(classes, reach):
    wanted = np.zeros(classes.shape, bool)
    for row, column in np.ndindex(classes.shape):
        seen = {int(one) for one in around(classes, row, column, reach).ravel()} - {IGNORED}
        wanted[row, column] = classes[row, column] != IGNORED and len(seen) > 1

    assert np.array_equal(band(classes, reach), wanted)


@settings(deadline=None)
@given(MAPS, st.integers(0, 5))
def test_a_window_holds_what_a_slow_loop_finds(values, reach):
    largest = windowed(values, reach, np.maximum, fill=0)
    least = windowed(values, reach, np.minimum, fill=255)

    assert largest.shape == least.shape == values.shape
    for row, column in np.ndindex(values.shape):
        near = around(values, row, column, reach)
        assert (largest[row, column], least[row, column]) == (near.max(), near.min())


def test_of_two_halves_as_many_columns_on_each_side_are_near_as_the_reach():
    classes = np.repeat(np.array([[3] * 10 + [7] * 10], np.uint8), 4, axis=0)

    assert np.flatnonzero(band(classes, 3)[0]).tolist() == [7, 8, 9, 10, 11, 12]


def test_pixels_that_count_for_nothing_make_no_border_and_are_near_none():
    classes = np.full((6, 6), 2, np.uint8)
    classes[2:4] = IGNORED

    assert not band(classes, 2).any()
    classes[4:] = 1
    near = band(classes, 3)
    assert not near[2:4].any()
    assert near[1].all()
    assert near[4].all()


def test_the_picture_ends_without_a_border():
    assert not band(np.ones((5, 8), np.uint8), 4).any()


@pytest.mark.parametrize("size", [(375, 500), (360, 480), (1, 1)])
def test_the_reach_goes_by_the_diagonal_and_is_a_pixel_at_least(size):
    assert reach_of(size) == max(round(REACH * math.hypot(*size)), 1)


def test_borders_that_pascal_voc_leaves_unlabelled_are_reached_over():
    classes = np.repeat(np.array([[1] * 40 + [IGNORED] * 5 + [2] * 40], np.uint8), 3, axis=0)

    assert band(classes, reach_of((375, 500))).any()
