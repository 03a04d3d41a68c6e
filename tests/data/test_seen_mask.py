"""The classes at the pixels of the input: those that Pillow picks, and none beside the picture."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from intaglio.data.fit import corner, inner_sides
from intaglio.data.mask import IGNORED, Mask
from intaglio.data.placed import placement
from intaglio.data.preprocess import Preprocess
from intaglio.data.seen_mask import are_masks, seen_mask, sources
from intaglio.data.truth import Placement
from intaglio.errors import DataError

SIDES = st.integers(1, 90)
PLACES = st.floats(-50.0, 50.0)


def random_classes(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height).integers(0, IGNORED, (height, width), dtype=np.uint8)


def resized(classes: NDArray[np.uint8], inner: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(classes).resize(inner, Image.Resampling.NEAREST))


@given(SIDES, SIDES, SIDES, SIDES)
def test_a_stretched_mask_is_what_pillow_makes_of_it(
    height: int, width: int, rows: int, columns: int
) -> None:
    classes = random_classes(height, width)
    place = placement(Preprocess(fit="stretch"), (height, width), (1, 3, rows, columns))

    seen = seen_mask(Mask(classes, place), (rows, columns))

    assert np.array_equal(seen, resized(classes, (columns, rows)))


@pytest.mark.parametrize("own", [*range(1, 60), 227, 360, 375, 480, 500, 513, 640])
def test_centres_between_two_pixels_go_where_pillow_puts_them(own: int) -> None:
    """Steps are added up in float64 there: exact fractions would differ in such places."""
    whole = np.arange(own)
    for inner in [*range(1, 60), 224, 256, 257, 513]:
        low, high = (resized((part % 256).astype(np.uint8)[None], (inner, 1))[0] for part in (
            whole, whole // 256
        ))  # fmt: skip

        assert np.array_equal(sources(own, inner / own, 0.0, inner), low + 256 * high.astype(int))


@given(SIDES, SIDES, SIDES, SIDES)
def test_a_letterbox_has_the_resized_mask_in_the_middle_and_nothing_that_counts_beside_it(
    height: int, width: int, rows: int, columns: int
) -> None:
    classes = random_classes(height, width)
    place = placement(Preprocess(fit="letterbox"), (height, width), (1, 3, rows, columns))
    inner = inner_sides((width, height), "letterbox", (columns, rows))
    left, top = corner(inner, (columns, rows))
    expected = np.full((rows, columns), IGNORED, np.uint8)
    expected[top : top + inner[1], left : left + inner[0]] = resized(classes, inner)

    assert np.array_equal(seen_mask(Mask(classes, place), (rows, columns)), expected)


@given(st.integers(12, 40), st.integers(12, 40), st.integers(8, 12))
def test_a_crop_of_the_middle_is_cut_from_the_resized_mask(
    height: int, width: int, crop: int
) -> None:
    classes, preprocess = random_classes(height, width), Preprocess(resize=12, crop=crop)
    place = placement(preprocess, (height, width), (1, 3, crop, crop))
    shorter = min(height, width)
    whole = resized(classes, (12 * width // shorter, 12 * height // shorter))
    left, top = int(-place.left), int(-place.top)

    seen = seen_mask(Mask(classes, place), (crop, crop))

    assert np.array_equal(seen, whole[top : top + crop, left : left + crop])


@given(st.integers(1, 40), st.floats(0.05, 20.0), PLACES, st.integers(1, 60))
def test_a_placement_of_any_fraction_puts_each_centre_into_the_pixel_it_lies_in(
    own: int, scale: float, offset: float, wanted: int
) -> None:
    found = sources(own, scale, offset, wanted)

    for pixel, place in enumerate(found.tolist()):
        exact = (Fraction(pixel) + Fraction(1, 2) - Fraction(offset)) / Fraction(scale)
        expected = floor(exact) if 0 <= exact < own else -1
        # a centre within rounding of a border between two pixels may be either's; the scale itself
        # may be rounded, by 1e-6 of the whole side at most
        near = abs(exact - round(exact)) < Fraction(3, 10**6) * (own + wanted)
        assert place == expected or near


def test_where_the_input_is_the_picture_the_mask_is_what_it_was_and_no_part_of_it() -> None:
    classes = random_classes(5, 7)

    seen = seen_mask(Mask(classes, Placement()), (5, 7))

    assert np.array_equal(seen, classes)
    seen[:] = 0
    assert classes.any()


def test_of_a_picture_beside_the_input_nothing_is_seen() -> None:
    mask = Mask(random_classes(5, 7), Placement(left=9.0))

    assert (seen_mask(mask, (5, 7)) == IGNORED).all()


def test_a_mask_without_a_placement_is_refused() -> None:
    with pytest.raises(DataError, match=r"give it a placement, Placement\(\) where"):
        seen_mask(Mask(random_classes(5, 7)), (5, 7))


def test_only_a_list_of_masks_is_one() -> None:
    mask = Mask(random_classes(1, 1))

    assert are_masks([mask, mask])
    assert are_masks([])
    assert not are_masks([mask, 1])
    assert not are_masks((mask,))
    assert not are_masks(None)
