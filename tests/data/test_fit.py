"""Whole pictures on the network's input: sizes and corners by hand, and where pixels land."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from intaglio.data.fit import FITS, GREY, corner, fit, inner_sides

SIDE = st.integers(1, 700)
SIDES = st.tuples(SIDE, SIDE)


def plain(width: int, height: int, colour: tuple[int, int, int] = (10, 200, 30)) -> Image.Image:
    return Image.new("RGB", (width, height), colour)


@pytest.mark.parametrize(
    ("sides", "wanted", "inner", "left_top"),
    [
        ((640, 480), (320, 320), (320, 240), (0, 40)),
        ((480, 640), (320, 320), (240, 320), (40, 0)),
        ((100, 100), (320, 320), (320, 320), (0, 0)),  # enlarged
        ((640, 480), (640, 480), (640, 480), (0, 0)),
        ((1000, 3), (320, 320), (320, 1), (0, 159)),  # 0.96 pixels are one, 319 beside it
        ((3, 1000), (20, 31), (1, 31), (9, 0)),  # 0.093 pixels would be none
        ((640, 425), (320, 320), (320, 212), (0, 54)),  # 212.5 to even
        ((500, 375), (300, 200), (267, 200), (16, 0)),  # an odd rest: one pixel more on the right
    ],
)
def test_a_letterbox_has_these_sides_and_this_corner(sides, wanted, inner, left_top):
    assert inner_sides(sides, "letterbox", wanted) == inner
    assert corner(inner, wanted) == left_top


@given(sides=SIDES, wanted=SIDES)
def test_a_stretched_picture_takes_all_of_the_input(sides, wanted):
    assert inner_sides(sides, "stretch", wanted) == wanted
    assert corner(wanted, wanted) == (0, 0)


@given(sides=SIDES, wanted=SIDES)
def test_a_letterbox_touches_two_borders_and_keeps_proportions_to_half_a_pixel(sides, wanted):
    inner = inner_sides(sides, "letterbox", wanted)

    assert 1 <= inner[0] <= wanted[0]
    assert 1 <= inner[1] <= wanted[1]
    assert inner[0] == wanted[0] or inner[1] == wanted[1]
    factor = min(wanted[0] / sides[0], wanted[1] / sides[1])
    for side, found in zip(sides, inner, strict=True):
        # half a pixel of rounding; less than one pixel becomes one; 1e-9 for the division
        assert abs(found - max(side * factor, 1)) <= 0.5 + 1e-9


@given(inner=SIDES, more=st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_bars_on_both_sides_differ_by_one_pixel_at_most_the_wider_behind(inner, more):
    wanted = inner[0] + more[0], inner[1] + more[1]

    for side, rest, before in zip(inner, more, corner(inner, wanted), strict=True):
        behind = side + rest - side - before
        assert behind - before in (0, 1)


@pytest.mark.parametrize("kind", FITS)
@pytest.mark.parametrize("sides", [(64, 48), (31, 97), (200, 200), (1, 5)])
def test_a_plain_picture_stays_plain_and_only_bars_are_grey(kind, sides):
    wanted = (50, 40)

    pixels = np.asarray(fit(plain(*sides), kind, wanted))  # [H, W, 3]

    assert pixels.shape == (40, 50, 3)
    inner = inner_sides(sides, kind, wanted)
    left, top = corner(inner, wanted)
    inside = np.zeros((40, 50), bool)
    inside[top : top + inner[1], left : left + inner[0]] = True
    assert (pixels[inside] == (10, 200, 30)).all()
    assert (pixels[~inside] == GREY).all()


def test_a_grey_picture_of_one_channel_has_bars_of_one_channel():
    pixels = np.asarray(fit(Image.new("L", (20, 10), 7), "letterbox", (20, 20)))

    assert pixels.shape == (20, 20)
    assert sorted(set(pixels.ravel().tolist())) == [7, GREY]


def test_pixels_are_pillows_bilinear_ones_and_the_given_picture_is_left_alone():
    generator = np.random.default_rng(0)
    given_image = Image.fromarray(generator.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    before = np.asarray(given_image).copy()

    found = np.asarray(fit(given_image, "letterbox", (20, 20)))

    inner = np.asarray(given_image.resize((20, 15), Image.Resampling.BILINEAR))
    assert np.array_equal(found[2:17], inner)
    assert np.array_equal(np.asarray(given_image), before)
