"""The lattices: simplices by a plain search, and how near the kernel is to the Gaussian."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from tests.tasks.crf.scenes import noisy, smooth

from intaglio.errors import DataError
from intaglio.tasks.crf.exact import pairs
from intaglio.tasks.crf.kernels import bilateral_features
from intaglio.tasks.crf.lattice import (
    LAYOUTS,
    MOST,
    SIDES,
    STEPS,
    _grouped,
    _keys,
    _shifts,
    _simplices,
    afforded,
    lattice,
)


def dense(kernel):
    """The kernel of every pair, [N, N]."""
    height, width = kernel.own.shape
    lone = np.eye(height * width, dtype=np.float32)
    return kernel.summed(lone.reshape(-1, height, width)).reshape(lone.shape)


def features(picture, rgb):
    return bilateral_features(picture, 67.0, rgb)


def plane_of(dimensions, seed, count, spread):
    """Places [d + 1, count] whose coordinates sum to 0."""
    places = np.random.default_rng(seed).normal(0, spread, (dimensions + 1, count))
    return (places - places.mean(0)).astype(np.float32)


def corner_of(base, ranks, corner):
    """The coordinates of a corner of each simplex, [d + 1, N], the lowest ones lowered."""
    sides = len(base)
    return sides * base + corner - sides * (ranks >= sides - corner)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_corners_and_weights_of_a_point_make_up_the_point(dimensions, seed):
    sides = dimensions + 1
    plane = plane_of(dimensions, seed, 30, 3 * sides)

    base, ranks, weights = _simplices(plane)

    made = np.zeros(plane.shape)
    for corner in range(sides):
        place = corner_of(base, ranks, corner)
        assert np.abs(place.sum(0)).max() == 0  # a corner is in the plane
        made += weights[corner] * place
    assert (np.sort(ranks, axis=0) == np.arange(sides)[:, None]).all()
    # coordinates of up to 100 in float32 are good to 4e-6, sums of six of them to 1e-4
    assert made == pytest.approx(plane, abs=1e-4)
    assert weights.sum(0) == pytest.approx(1, abs=1e-5)
    assert weights.min() >= -1e-5


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_keys_of_a_kind_of_corner_are_equal_where_corners_are_and_only_there(dimensions, seed):
    base, ranks, _ = _simplices(plane_of(dimensions, seed, 20, dimensions + 1))

    keys = _keys(base, ranks)

    for corner, some in enumerate(keys):
        places = [tuple(place) for place in corner_of(base, ranks, corner).T]
        assert len(set(places)) == len(set(some)) == len(set(zip(places, some, strict=True)))


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=40))
def test_equal_keys_come_together_each_group_begun_once(keys):
    order, first = _grouped(np.array(keys, np.int64))

    there = np.array(keys)[order]
    assert sorted(order) == list(range(len(keys)))
    assert list(there) == sorted(keys)
    assert list(there[first]) == sorted(set(keys))


def harmonics(norm):
    """The vectors of the dual lattice of a length², whole numbers that sum to 0."""
    of_all = itertools.product((-2, -1, 0, 1, 2), repeat=SIDES)
    return np.array([v for v in of_all if sum(v) == 0 and np.dot(v, v) == norm])


@pytest.mark.parametrize(("count", "left"), [(31, (0, 0)), (13, (0, 6)), (6, (0, 24))])
def test_shifted_lattices_cancel_the_harmonics_that_they_were_chosen_for(count, left):
    shifts = _shifts(count).astype(np.float64)

    assert np.abs(shifts.sum(1)).max() < 1e-5
    for norm, remaining in zip((2, 4), left, strict=True):
        # a lattice that is moved by s has its harmonic at v turned by exp(2 pi i v.s / 6)
        means = np.exp(2j * np.pi * harmonics(norm) @ shifts.T / SIDES).mean(1)
        assert (np.abs(means) > 1e-4).sum() == remaining


def test_a_smaller_picture_has_more_lattices_and_never_more_than_can_be_afforded():
    layouts = [afforded(pixels) for pixels in (64 * 64, 32_768, 256 * 192, 320 * 240)]

    assert layouts == [(31, 4), (31, 2), (13, 2), (13, 2)]
    for pixels in range(1, 80_000, 997):
        assert np.prod(afforded(pixels)) * pixels <= MOST
    assert afforded(500 * 375) == afforded(10**8) == (6, 2)


def test_each_difference_but_0_comes_once_in_the_steps_of_most_lattices():
    apart = [(a - b) % 31 for a, b in itertools.permutations(STEPS[31], 2)]

    assert sorted(apart) == list(range(1, 31))


def test_the_kernel_is_symmetric_positive_and_its_diagonal_is_known():
    kernel = lattice(features(noisy(12), 13.0))

    values = dense(kernel)

    assert values == pytest.approx(values.T, abs=1e-6)
    assert np.diag(values) == pytest.approx(kernel.own.ravel(), rel=1e-5)
    assert np.linalg.eigvalsh(values.astype(np.float64)).min() > -1e-5  # of float32 sums
    assert values.min() >= 0


@pytest.mark.parametrize("rgb", [3.0, 13.0])
@pytest.mark.parametrize("picture", [smooth(32), noisy(32)], ids=["smooth", "noisy"])
def test_sums_are_those_of_the_gaussian_within_a_tenth(picture, rgb):
    stand = features(picture, rgb)
    everyone = np.ones((1, 32, 32), np.float32)

    sums = lattice(stand).summed(everyone)

    assert (everyone == 1).all()
    exact = pairs(stand).summed(everyone)
    # the kernel's middle is 3 percent low, which all pixels share: normalising takes it out
    assert np.abs(sums / exact - 1).mean() < 0.1


@pytest.mark.parametrize("rgb", [3.0, 13.0])
def test_more_lattices_are_nearer_to_the_gaussian(rgb):
    stand = features(noisy(16), rgb)
    exact = pairs(stand).values

    far = []
    for layout in LAYOUTS:
        apart = dense(lattice(stand, layout=layout)) - exact
        np.fill_diagonal(apart, 0)
        far.append(np.square(apart).sum())

    assert far == sorted(far)
    # what shifts cannot take away, the average kernel's own shape, is in both
    assert far[0] < far[-1] / 2


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
