"""A map at the pixels of a picture: closed forms, plain loops, and PyTorch's interpolation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.maps.sampling import Affine, sampled, sampled_plane, steps_of


def scores(channels: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((channels, height, width), np.float32)


def at_pixel(plane: np.ndarray, affine: Affine, row: int, column: int) -> float:
    """Return a map's value at one pixel of a picture, in plain Python and float64."""
    places = []
    for index, scale, offset, count, whole in (
        (row, affine.scale_y, affine.top, plane.shape[0], affine.input_size[0]),
        (column, affine.scale_x, affine.left, plane.shape[1], affine.input_size[1]),
    ):
        at = ((index + 0.5) * scale + offset) * count / whole - 0.5
        at = min(max(at, 0.0), count - 1.0)
        low = math.floor(at)
        places.append((low, min(low + 1, count - 1), at - low))
    (y0, y1, down), (x0, x1, right) = places
    corners = plane.astype(np.float64)[[[y0, y0], [y1, y1]], [[x0, x1], [x0, x1]]]
    above, below = corners[:, 0] * (1 - right) + corners[:, 1] * right
    return float(above * (1 - down) + below * down)


def test_a_map_at_its_own_places_is_itself_to_the_bit():
    given_map = scores(3, 7, 5)

    found = sampled(given_map, affine=Affine((7, 5)), size=(7, 5))

    assert np.array_equal(found, given_map)


def test_halfway_between_two_places_is_their_mean():
    given_map = np.array([[[0.0, 1.0]]], np.float32)

    found = sampled(given_map, affine=Affine((1, 4)), size=(1, 4))

    # two pixels a place: centres at -1/4, 1/4, 3/4, 5/4 places
    assert found.tolist() == [[[0.0, 0.25, 0.75, 1.0]]]


def test_a_plane_stays_one_within_the_border():
    rows, columns = np.mgrid[0:9, 0:6].astype(np.float32)
    plane = 2.0 * rows - 3.0 * columns

    found = sampled(plane[None], affine=Affine((9, 6), 0.5, 0.5, 0.25, 0.25), size=(17, 11))[0]

    y, x = np.mgrid[0:17, 0:11]  # pixel p lies at (p + 1/2) / 2 + 1/4 - 1/2 = p / 2 places
    assert found == pytest.approx(y * 1.0 - x * 1.5, abs=1e-5)  # a few float32 roundings near 16


@settings(max_examples=40, deadline=None)
@given(
    places=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    scale=st.tuples(st.floats(0.1, 4.0), st.floats(0.1, 4.0)),
    offset=st.tuples(st.floats(-6.0, 6.0), st.floats(-6.0, 6.0)),
)
def test_each_pixel_is_what_a_plain_loop_says(places, size, scale, offset):
    plane = scores(1, *places)[0]
    affine = Affine((12, 10), *scale, *offset)

    found = sampled_plane(plane, *steps_of(affine, size, places=places))

    wanted = [[at_pixel(plane, affine, y, x) for x in range(size[1])] for y in range(size[0])]
    # float32 numbers up to about 4, and three of their roundings
    assert found == pytest.approx(np.array(wanted), abs=4e-6)


@pytest.mark.parametrize(("places", "size"), [((5, 7), (20, 30)), ((33, 33), (61, 47))])
def test_a_stretched_picture_is_pytorchs_interpolation(places, size):
    given_map = scores(4, *places)
    whole = (places[0] * 8, places[1] * 8)
    affine = Affine(whole, whole[1] / size[1], whole[0] / size[0])

    found = sampled(given_map, affine=affine, size=size)

    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(given_map)[None], size, mode="bilinear", align_corners=False
    )[0].numpy()
    # theirs has places in float32: up to 33 places, half a last bit is 2e-6 of a step of up to 6
    assert found == pytest.approx(theirs, abs=3e-5)


def test_beyond_the_border_the_border_counts():
    given_map = scores(1, 3, 3)

    found = sampled(given_map, affine=Affine((3, 3), 1.0, 1.0, -5.0, 10.0), size=(2, 2))

    assert (found == given_map[0, 2, 0]).all()


def test_some_rows_of_a_picture_are_those_of_the_whole_to_the_bit():
    plane = scores(1, 6, 6)[0]
    rows, columns = steps_of(Affine((6, 6), 0.3, 0.3), (20, 20), places=(6, 6))
    whole = sampled_plane(plane, rows, columns)

    parts = [sampled_plane(plane, rows.cut(y, y + 3), columns) for y in range(0, 20, 3)]

    assert np.array_equal(np.concatenate(parts), whole)


def test_a_map_is_not_changed_by_being_sampled():
    given_map = scores(2, 6, 6)
    before = given_map.copy()

    sampled(given_map, affine=Affine((6, 6), 0.5, 0.5), size=(12, 12))

    assert np.array_equal(given_map, before)
