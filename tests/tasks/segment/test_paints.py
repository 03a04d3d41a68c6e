"""Paints: what lies over a picture is the class of each pixel, and can be told apart."""

from __future__ import annotations

import io
import itertools

import numpy as np
from PIL import Image

from intaglio.tasks.segment.paints import (
    CLEAR,
    COLOURS,
    EDGE,
    PERIOD,
    STRONG,
    TEXTURES,
    UNCOUNTED,
    WEAK,
    Paint,
    painted,
    paints,
    piece,
)


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def luminance(colour):
    """Return the relative luminance of a colour (WCAG 2.1)."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.divide(colour, 255)
    ]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_the_first_seven_classes_are_plain_and_the_first_28_all_differ():
    made = list(paints(range(28)).values())

    assert {paint.texture for paint in made[:7]} == {"plain"}
    assert len({(paint.colour, paint.texture) for paint in made}) == 28
    assert UNCOUNTED not in made
    assert paints([9, 4])[9] == made[0]


def test_colours_come_again_beyond_what_can_be_told_apart():
    made = paints(range(255))

    assert len(made) == 255
    assert made[28] == made[0]


def test_pixels_have_the_paint_of_their_class_strongest_where_it_ends():
    classes = np.zeros((9, 12), np.uint8)
    classes[:, 6:] = 3

    seen = pixels(painted(classes, {0: CLEAR, 3: Paint(COLOURS[2])}))

    assert seen.shape == (9, 12, 4)
    assert not seen[:, :6, 3].any()
    assert (seen[:, 6:, :3] == COLOURS[2]).all()
    assert (seen[:, 6, 3] == EDGE).all()
    assert (seen[:, 7:, 3] == STRONG).all()


def test_a_class_without_a_paint_is_left_clear():
    assert not pixels(painted(np.full((4, 4), 7, np.uint8), {0: Paint(COLOURS[0])}))[..., 3].any()


def test_what_is_one_pixel_thin_is_strong_all_along():
    classes = np.zeros((12, 12), np.uint8)
    classes[:, 5] = 1

    for texture in TEXTURES:
        seen = pixels(painted(classes, {1: Paint(COLOURS[0], texture)}))
        assert (seen[:, 5, 3] == EDGE).all()


def test_textures_differ_and_half_of_each_but_the_plain_one_is_weak():
    whole = np.zeros((4 * PERIOD, 4 * PERIOD), np.uint8)

    made = {t: pixels(painted(whole, {0: Paint(COLOURS[0], t)}))[..., 3] for t in TEXTURES}

    assert (made["plain"] == STRONG).all()
    for texture in TEXTURES[1:]:
        assert set(np.unique(made[texture]).tolist()) == {WEAK, STRONG}
        assert (made[texture] == WEAK).mean() == 0.5
    assert len({alpha.tobytes() for alpha in made.values()}) == len(TEXTURES)


def test_a_legend_shows_colour_and_texture():
    assert (pixels(piece(Paint(COLOURS[5])))[..., :3] == COLOURS[5]).all()
    assert len(np.unique(pixels(piece(Paint(COLOURS[5], "rising")))[..., 3])) == 2


def test_no_two_colours_are_the_same_grey():
    greys = sorted(luminance(colour) for colour in COLOURS)

    # a just noticeable step of luminance is about 1 %
    assert min(b / a for a, b in itertools.pairwise(greys)) > 1.01
