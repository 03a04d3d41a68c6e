"""How much of two networks' maps is the same: what must weigh, and what must not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from intaglio.errors import DataError
from intaglio.maps.postprocess import MapPostProcess
from intaglio.tasks.judgement import Judgement, Wish
from intaglio.tasks.segment.same_pixels import SamePixels
from tasks.segment.maps_made import blobs, saying

SIZE = (96, 96)


def scene(*squares: tuple[int, int, int, int]) -> np.ndarray:
    """Return a background with squares (top, left, side, class)."""
    made = np.zeros(SIZE, np.uint8)
    for top, left, side, number in squares:
        made[top : top + side, left : left + side] = number
    return made


LARGE, SMALL = (10, 10, 50, 1), (70, 75, 10, 2)
BOTH = scene(LARGE, SMALL)


def share(real: np.ndarray, found: np.ndarray) -> float:
    both = SamePixels(["map"])
    both.compare(real, found)
    return float(both.agreement().by_image[0])


def test_the_same_map_is_wholly_the_same():
    assert share(BOTH, BOTH.copy()) == 1.0


def test_it_is_the_mean_iou_by_the_square_root_of_pixels():
    found = scene(LARGE)
    ground, large, small = 96 * 96 - 2600, 2500, 100
    parts = [(ground / (ground + 100), ground + 100), (1.0, large), (0.0, small)]

    weights = [math.sqrt(union) for _, union in parts]
    wanted = sum(w * iou for w, (iou, _) in zip(weights, parts, strict=True)) / sum(weights)

    assert share(BOTH, found) == pytest.approx(wanted)


def test_that_a_small_object_is_lost_is_seen_beside_the_background():
    lost = share(BOTH, scene(LARGE))
    pixels = 1.0 - 100 / 96**2

    assert pixels > 0.985  # of all pixels hardly any differ
    assert lost < 0.95


def test_a_speck_is_no_lost_object():
    speck = scene(LARGE, SMALL, (90, 5, 2, 3))

    assert share(BOTH, speck) > 0.98  # of 4 classes one is false: 0.75 by classes alone
    assert share(BOTH, speck) > share(BOTH, scene(LARGE)) + 0.03


def test_a_lost_small_object_weighs_less_than_a_lost_large_one():
    assert share(BOTH, scene(SMALL)) < share(BOTH, scene(LARGE))


def test_a_border_that_is_one_pixel_off_costs_little():
    moved = np.roll(BOTH, 1, axis=1)

    assert share(BOTH, moved) > 0.92
    assert share(BOTH, moved) > share(BOTH, np.roll(BOTH, 4, axis=1))


def test_it_is_the_same_whichever_network_is_the_float_one():
    one, other = blobs(*SIZE, 4, 0), blobs(*SIZE, 4, 1)

    assert share(one, other) == pytest.approx(share(other, one))


def test_batches_add_up_picture_by_picture():
    one, other = blobs(20, 20, 3, 0), blobs(20, 20, 3, 1)
    both = SamePixels(["map"])

    both.add([saying(one, other, classes=3)], [saying(one, one, classes=3)])
    both.add([saying(one, classes=3)], [saying(one, classes=3)])
    agreement = both.agreement()

    assert agreement.by_image.tolist() == pytest.approx([1.0, share(other, one), 1.0])
    assert (agreement.n, agreement.same) == (3, pytest.approx(2 + share(other, one)))
    same = (one == other).sum() + 2 * one.size
    assert agreement.parts == pytest.approx(100 * same / (3 * one.size))


def test_outputs_have_their_noise_however_they_come_in_batches():
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(6, 3, 16, 16, generator=generator)
    found = real + 0.1 * torch.randn(6, 3, 16, 16, generator=generator)
    whole, parts = SamePixels(["map"]), SamePixels(["map"])

    whole.add([real], [found])
    for picture in range(6):
        parts.add([real[picture : picture + 1]], [found[picture : picture + 1]])

    # 20 dB; of 4608 numbers the power of the noise is known to 2 %, 0.1 dB
    assert whole.agreement().sqnr_db["map"] == pytest.approx(20.0, abs=0.3)
    assert parts.agreement().sqnr_db == pytest.approx(whole.agreement().sqnr_db)


def test_classes_themselves_are_no_signal_but_other_outputs_are():
    classes = torch.from_numpy(blobs(16, 16, 3)).long()[None]
    both = SamePixels(["map", "aux"], MapPostProcess(3, rule="index"))

    both.add([classes, torch.arange(4.0)[None]], [classes, torch.arange(4.0)[None] + 1])

    assert set(both.agreement().sqnr_db) <= {"aux"}
    assert both.agreement().same == 1.0


def varied(*maps: np.ndarray) -> bool:
    both = SamePixels(["map"])
    for each in maps:
        both.compare(each, each)
    return both.agreement().is_varied


def test_one_class_everywhere_and_one_map_for_all_pictures_say_nothing():
    one, other = blobs(16, 16, 3, 0), blobs(16, 16, 3, 1)

    assert varied(one)
    assert varied(one, one, other)
    assert not varied(one, one, one)
    assert not varied(scene(), scene())
    assert not varied(scene())


def test_a_network_that_says_background_alone_is_not_taken_for_a_good_one():
    both = SamePixels(["map"])
    for _ in range(30):
        both.compare(scene(), scene())

    assert both.agreement().percent == 100.0
    assert Judgement(30, both.agreement(), 3.0).loss is None


def test_without_a_batch_there_is_nothing_to_say():
    agreement = SamePixels(["map"]).agreement()

    assert (agreement.n, agreement.percent, agreement.parts) == (0, None, None)


def test_a_search_prefers_the_network_that_keeps_the_object():
    good, poor = SamePixels(["map"]), SamePixels(["map"])
    for number in range(40):
        real = np.roll(BOTH, number, axis=1)
        good.compare(real, np.roll(real, 1, axis=0))
        poor.compare(real, np.where(real == 2, 0, real))

    assert Judgement(40, good.agreement(), 3.0).is_better_than(Judgement(40, poor.agreement(), 3.0))
    assert not Judgement(40, poor.agreement(), 3.0).proves(Wish(1.0))


def test_outputs_that_are_no_maps_are_refused():
    with pytest.raises(DataError, match="one channel"):
        SamePixels(["map"]).add([torch.zeros(1, 1, 4, 4)], [torch.zeros(1, 1, 4, 4)])
