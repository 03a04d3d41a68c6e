"""The worst pictures: those that a sort of all would give, as small as the page shows them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.tasks.detect.scenes import detections, scenes, truth

from intaglio.data.truth import Placement
from intaglio.report.pictures import SIDE
from intaglio.tasks.detect.average_precision import MEASURES, by_class
from intaglio.tasks.detect.hits import hits
from intaglio.tasks.detect.matching import matched
from intaglio.tasks.detect.worst import WorstPictures, picture_ap, seen_of

A, B = (0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0)


def filled(count, most, seed=0):
    """Return worst pictures of random scenes, and the scenes."""
    real, truths = scenes(count, 3, seed)
    found, _ = scenes(count, 3, seed, noise=12.0)  # the same numbers are drawn: noise differs
    worst = WorstPictures(most)
    for number, one in enumerate(zip(real, found, truths, strict=True)):
        worst.add(torch.full((3, 8, 8), float(number)), *one)
    return worst, real, found, truths


@pytest.mark.parametrize("seed", range(4))
def test_the_kept_ones_are_the_first_of_all_sorted(seed: int):
    worst, real, found, truths = filled(60, 7, seed)

    def rank(number):
        rule = MEASURES["ap50"].rule
        each = by_class(hits([found[number]], [truths[number]], rule), "coco")
        ap = float(np.mean(list(each.values()))) if each else math.inf
        return matched(real[number], found[number]).share, ap, number

    assert [one.number for one in worst.kept] == sorted(range(60), key=rank)[:7]
    assert [float(one.image[0, 0, 0]) for one in worst.kept] == [one.number for one in worst.kept]


def test_of_equal_shares_less_average_precision_comes_first_and_no_object_last():
    both = detections((A, 0.9, 0))
    worst = WorstPictures()

    worst.add(torch.zeros(3, 8, 8), both, both, truth())
    worst.add(torch.zeros(3, 8, 8), both, both, truth((A, 0)))
    worst.add(torch.zeros(3, 8, 8), both, both, truth((A, 0), (B, 0)))

    assert [one.number for one in worst.kept] == [2, 1, 0]
    assert worst.kept[2].ap == math.inf


def test_the_average_precision_of_a_picture_is_one_of_its_objects_found_of_two():
    # precision 1 at the recalls 0, 0.01 .. 0.5, which are 51 of 101
    ap = picture_ap(detections((A, 0.9, 0)), truth((A, 0), (B, 0)), MEASURES["ap50"])

    assert ap == pytest.approx(100 * 51 / 101)


def test_no_more_than_the_promised_memory_is_held():
    worst = WorstPictures(3)
    batch = torch.zeros(20, 3, 700, 900)
    for image in batch:
        worst.add(image, detections((A, 0.9, 0)), detections(), truth((A, 0)))

    held = [one.image.untyped_storage().nbytes() for one in worst.kept]
    assert len(held) == 3
    assert max(held) <= 3 * 4 * SIDE * SIDE


def test_small_images_are_no_views_of_their_batch():
    worst = WorstPictures(1)
    batch = torch.zeros(4, 3, 8, 8)

    worst.add(batch[0], detections(), detections(), truth((A, 0)))
    batch += 1.0

    assert float(worst.kept[0].image.sum()) == 0.0


def letterboxed() -> tuple[torch.Tensor, Placement]:
    """Return a picture of 40 x 20 in an input of 80 x 80: grey bars, then red left, blue right."""
    image = torch.full((3, 80, 80), 0.5)
    image[:, 20:60] = 0.0
    image[0, 20:60, :40] = 1.0
    image[2, 20:60, 40:] = 1.0
    return image, Placement(2.0, 2.0, 0.0, 20.0)


def test_bars_of_a_letterbox_are_cut_off_and_the_frame_is_the_whole_picture():
    image, place = letterboxed()

    seen, frame = seen_of(image, replace(truth(), size=(20, 40), placement=place))

    assert (frame.left, frame.top, frame.right, frame.bottom) == (0.0, 0.0, 40.0, 20.0)
    assert torch.equal(seen, image[:, 20:60])


def test_a_box_is_in_the_scene_where_its_pixels_are():
    image, place = letterboxed()
    _, frame = seen_of(image, replace(truth(), size=(20, 40), placement=place))

    placed = frame.within(np.array([[20, 0, 40, 20], [-9, -9, 99, 99]], np.float32), (160, 320))

    assert placed.tolist() == [[160.0, 0.0, 320.0, 160.0], [0.0, 0.0, 320.0, 160.0]]


def test_of_a_centre_crop_the_frame_is_the_part_that_is_seen():
    # a picture of 100 x 50, of which the input of 50 x 50 is the middle
    place = Placement(1.0, 1.0, -25.0, 0.0)

    seen, frame = seen_of(torch.zeros(3, 50, 50), replace(truth(), size=(50, 100), placement=place))

    assert (frame.left, frame.top, frame.right, frame.bottom) == (25.0, 0.0, 75.0, 50.0)
    assert seen.shape == (3, 50, 50)


@pytest.mark.parametrize("place", [None, Placement(), Placement(1.0, 1.0, 500.0, 0.0)])
def test_where_the_picture_cannot_be_told_the_whole_input_is_shown(place):
    there = replace(truth(), size=(9, 9) if place and place.left else None, placement=place)

    seen, _ = seen_of(torch.zeros(1, 12, 20), there)

    assert seen.shape[-1] == 20
