"""The part of an input that is a picture: image, maps and mask show the same pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from intaglio.data.mask import IGNORED, Mask
from intaglio.data.seen_mask import seen_mask
from intaglio.data.truth import Placement
from intaglio.report.pictures import SIDE
from intaglio.tasks.segment.seen_part import seen_part


def halves(height, width, placement=None):
    """Return a mask whose right half is of class 1, the left one of 0."""
    classes = np.zeros((height, width), np.uint8)
    classes[:, width // 2 :] = 1
    return Mask(classes, placement)


def letterboxed():
    """Return a mask of 40 x 20 in an input of 80 x 80, and that input, class 7 in the bars."""
    mask = halves(20, 40, Placement(2.0, 2.0, 0.0, 20.0))
    seen = seen_mask(mask, (80, 80))
    return mask, np.where(seen == IGNORED, 7, seen)


def test_bars_of_a_letterbox_are_cut_off_image_map_and_mask():
    mask, seen = letterboxed()

    part = seen_part(mask, (80, 80))

    assert part.scene == (160, 320)
    assert np.array_equal(part.of_map(seen), seen[20:60])
    assert np.array_equal(part.of_truth(mask), seen[20:60])
    image = torch.from_numpy(seen).float().expand(3, 80, 80)
    assert torch.equal(part.of_image(image)[0], image[0, 20:60])


def test_of_a_large_input_no_more_is_kept_than_a_scene_shows_and_halves_stay_halves():
    mask = halves(600, 1200, Placement())

    part = seen_part(mask, (600, 1200))

    for kept in (part.of_map(mask.classes), part.of_truth(mask)):
        assert kept.shape == (SIDE // 2, SIDE)
        assert not kept[:, : SIDE // 2].any()
        assert kept[:, SIDE // 2 :].all()
    image = torch.from_numpy(mask.classes).float().expand(3, 600, 1200)
    seen = part.of_image(image)
    assert seen.shape == (3, SIDE // 2, SIDE)
    # but for the columns beside the border, which the filter mixes
    assert torch.equal(seen[0] > 0.5, torch.from_numpy(part.of_truth(mask)) > 0)


def test_a_map_of_fewer_pixels_than_the_input_is_shown_in_place():
    mask, seen = letterboxed()

    part = seen_part(mask, (80, 80))

    assert np.array_equal(part.of_map(seen[::2, ::2].copy()), seen[20:60])


def test_of_a_centre_crop_the_part_that_is_seen_is_shown():
    # of a picture of 100 x 50 the input of 50 x 50 is the middle
    mask = halves(50, 100, Placement(1.0, 1.0, -25.0, 0.0))

    part = seen_part(mask, (50, 50))

    assert part.scene == (SIDE, SIDE)
    assert np.array_equal(part.of_truth(mask), mask.classes[:, 25:75])


def test_a_picture_that_was_squeezed_is_shown_as_it_is_stored():
    part = seen_part(halves(100, 200, Placement(0.5, 1.0)), (100, 100))

    assert part.scene == (SIDE // 2, SIDE)


@pytest.mark.parametrize("place", [None, Placement()])
def test_without_a_placement_the_input_is_the_picture(place):
    mask = halves(12, 20, place)

    assert np.array_equal(seen_part(mask, (12, 20)).of_truth(mask), mask.classes)


def test_where_none_of_the_picture_is_seen_the_whole_input_is_and_no_label_says_anything():
    mask = halves(9, 9, Placement(1.0, 1.0, 500.0, 0.0))

    part = seen_part(mask, (9, 20))

    assert part.of_image(torch.zeros(3, 9, 20)).shape == (3, 9, 20)
    assert (part.of_truth(mask) == IGNORED).all()
