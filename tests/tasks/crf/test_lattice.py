"""The lattices: simplices by a plain search, and how near the kernel is to the Gaussian."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from tests.tasks.crf.scenes import noisy, smooth

from intaglio.errors import DataError
from intaglio.tasks.crf.exact import pairs
from intaglio.tasks.crf.kernels import bilateral_features
from intaglio.tasks.crf.lattice import _keys, _simplices, lattice


def dense(kernel):
    """The kernel of every pair, [N, N]."""
    height, width = kernel.own.shape
    lone = np.eye(height * width, dtype=np.float32)
    return kernel.summed(lone.reshape(-1, height, width)).reshape(lone.shape)


def features(picture, rgb):
    return bilateral_features(picture, 67.0, rgb)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_corners_and_weights_of_a_point_make_up_the_point(dimensions, seed):
    sides = dimensions + 1
    plane = np.random.default_rng(seed).normal(0, 3 * sides, (30, sides))
    plane -= plane.mean(1, keepdims=True)

    base, order, weights = _simplices(plane)

    made = np.zeros_like(plane)
    for corner in range(sides):
        place = (sides * base + corner).astype(float)
        for point in range(len(plane)):
            lowest = order[point, sides - corner :]
            place[point, lowest] -= sides
        assert np.abs(place.sum(1)).max() == 0  # a corner is in the plane
        made += weights[:, corner : corner + 1] * place
    assert made == pytest.approx(plane, abs=1e-9)
    assert weights.sum(1) == pytest.approx(1, abs=1e-12)
    assert weights.min() >= -1e-12


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_keys_are_equal_where_corners_are_and_only_there(dimensions, seed):
    sides = dimensions + 1
    plane = np.random.default_rng(seed).normal(0, sides, (20, sides))
    plane -= plane.mean(1, keepdims=True)
    base, order, _ = _simplices(plane)

    keys = _keys(base, order).ravel()

    places = []
    for point in range(len(plane)):
        for corner in range(sides):
            place = sides * base[point] + corner
            place[order[point, sides - corner :]] -= sides
            places.append(tuple(place))
    assert len(set(places)) == len(set(keys))
    assert len(set(zip(places, keys, strict=True))) == len(set(keys))


def test_the_kernel_is_symmetric_positive_and_its_diagonal_is_known():
    kernel = lattice(features(noisy(12), 13.0))

    values = dense(kernel)

    assert values == pytest.approx(values.T, abs=1e-6)
    assert np.diag(values) == pytest.approx(kernel.own.ravel(), rel=1e-5)
    assert np.linalg.eigvalsh(values.astype(np.float64)).min() > -1e-5  # of float32 sums
    assert values.min() >= 0


@pytest.mark.parametrize("rgb", [3.0, 13.0])
@pytest.mark.parametrize("picture", [smooth(32), noisy(32)])
def test_sums_are_those_of_the_gaussian_within_a_tenth(picture, rgb):
    stand = features(picture, rgb)
    everyone = np.ones((1, 32, 32), np.float32)

    sums = lattice(stand).summed(everyone)

    assert (everyone == 1).all()
    exact = pairs(stand).summed(everyone)
    # twelve lattices leave a few percent of each kernel, more where a pixel is alone
    assert np.abs(sums / exact - 1).mean() < 0.1


def test_points_farther_apart_than_the_lattices_reach_do_not_hear_each_other():
    stand = np.zeros((1, 2, 5), np.float32)
    stand[0, 1, 2] = 20

    values = dense(lattice(stand))

    assert values[0, 1] == values[1, 0] == 0


def test_where_the_points_stand_changes_a_sum_by_a_few_percent_on_average():
    stand = features(smooth(16), 13.0)
    everyone = np.ones((1, 16, 16), np.float32)

    here = lattice(stand).summed(everyone)
    there = lattice(stand + np.float32(0.37)).summed(everyone)

    # what is left of the second harmonics
    assert np.abs(here / there - 1).mean() < 0.08


def test_a_picture_of_one_point_hears_itself_alone():
    kernel = lattice(np.zeros((1, 1, 5), np.float32))

    summed = kernel.summed(np.array([[[2.0]], [[3.0]]], np.float32))

    assert summed == pytest.approx(kernel.own * [[[2.0]], [[3.0]]])


def test_widths_that_no_integer_can_count_are_refused():
    stand = np.zeros((1, 2, 5), np.float32)
    stand[0, 1] = 1e6

    with pytest.raises(DataError, match="choose larger ones"):
        lattice(stand)
