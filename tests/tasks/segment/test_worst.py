"""The worst maps: those that a sort of all would give, as small as the page shows them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from intaglio.data.mask import IGNORED, Mask
from intaglio.data.truth import Placement
from intaglio.report.pictures import SIDE
from intaglio.tasks.segment.worst import WorstMaps, picture_miou, same_share

MAPS = arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 1, 2, 254]))
TRUTHS = arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 1, 3, IGNORED]))


def sets(classes, kept=None):
    """Return the pixels of each class of a map, as sets."""
    made = {}
    for pixel in np.ndindex(classes.shape):
        if kept is None or kept[pixel]:
            made.setdefault(int(classes[pixel]), set()).add(pixel)
    return made


@settings(deadline=None)
@given(MAPS, MAPS)
def test_the_share_is_the_weighted_mean_of_the_iou_of_sets(real, found):
    one, other = sets(real), sets(found)
    total = weight = 0.0
    for number in one.keys() | other.keys():
        here, there = one.get(number, set()), other.get(number, set())
        share = math.sqrt(len(here | there))
        total += share * len(here & there) / len(here | there)
        weight += share

    # a few sums and products of float64
    assert same_share(real, found) == pytest.approx(total / weight, rel=1e-12)
    assert same_share(found, real) == same_share(real, found)
    assert same_share(real, real) == 1.0


@settings(deadline=None)
@given(MAPS, TRUTHS)
def test_the_iou_of_a_picture_is_that_of_sets_of_the_pixels_that_count(found, truth):
    true, said = sets(truth, truth != IGNORED), sets(found, truth != IGNORED)
    each = [
        len(here & said.get(n, set())) / len(here | said.get(n, set())) for n, here in true.items()
    ]

    wanted = 100 * sum(each) / len(each) if each else math.inf
    assert picture_miou(found, truth) == pytest.approx(wanted, rel=1e-12)


def drawn(count, seed):
    """Return truths and maps of two networks, the second one worse, of 8 x 8 pixels."""
    generator = np.random.default_rng(seed)
    truths = generator.integers(0, 3, (count, 8, 8), np.uint8)
    truths[::5] = IGNORED
    reals = generator.integers(0, 3, (count, 8, 8), np.uint8)
    wrong = generator.random((count, 8, 8)) < generator.choice([0.0, 0.2, 0.5], (count, 1, 1))
    return truths, reals, np.where(wrong, np.uint8(0), reals)


def filled(worst, truths, reals, founds):
    for number, (truth, real, found) in enumerate(zip(truths, reals, founds, strict=True)):
        image = torch.full((3, 8, 8), float(number))
        worst.add(image, real, found, Mask(truth, Placement()))
    return worst


@pytest.mark.parametrize("seed", range(4))
def test_the_kept_ones_are_the_first_of_all_sorted(seed):
    truths, reals, founds = drawn(60, seed)

    kept = filled(WorstMaps(7), truths, reals, founds).kept

    def rank(n):
        return same_share(reals[n], founds[n]), picture_miou(founds[n], truths[n]), n

    assert [one.number for one in kept] == sorted(range(60), key=rank)[:7]
    assert [float(one.image[0, 0, 0]) for one in kept] == [one.number for one in kept]
    assert all(np.array_equal(one.found, founds[one.number]) for one in kept)


def test_of_equal_shares_less_iou_comes_first_and_no_label_last():
    found = np.zeros((8, 8), np.uint8)
    truths = np.stack([np.full((8, 8), IGNORED, np.uint8), found, found + 1])

    kept = filled(WorstMaps(), truths, [found] * 3, [found] * 3).kept

    assert [one.number for one in kept] == [2, 1, 0]
    assert [one.miou for one in kept] == [0.0, 100.0, math.inf]


def test_a_lost_object_is_worse_than_more_stray_pixels_of_the_background():
    real = np.zeros((40, 40), np.uint8)
    real[10:16, 10:16] = 1
    lost = np.zeros_like(real)
    stray = real.copy()
    stray.ravel()[800::25] = 2  # 32 pixels, beside the 36 of the object
    worst = WorstMaps()

    for found in (stray, lost):
        worst.add(torch.zeros(3, 40, 40), real, found, Mask(real, Placement()))

    assert worst.kept[0].number == 1


def test_no_more_than_the_promised_memory_is_held():
    worst = WorstMaps(3)
    maps = np.random.default_rng(0).integers(0, 9, (700, 900), np.uint8)
    for image in torch.zeros(8, 3, 700, 900):
        worst.add(image, maps, maps.T.reshape(700, 900), Mask(maps, Placement()), extra={"a": maps})

    assert len(worst.kept) == 3
    for one in worst.kept:
        own = [each if each.base is None else each.base for each in (one.real, one.extra["a"])]
        held = one.image.untyped_storage().nbytes() + one.found.nbytes + one.truth.nbytes
        assert held + sum(each.nbytes for each in own) <= 16 * SIDE * SIDE


def test_what_is_kept_is_no_view_of_what_was_given():
    worst = WorstMaps(1)
    batch, maps = torch.zeros(4, 3, 8, 8), np.zeros((8, 8), np.uint8)
    mask = Mask(maps.copy(), Placement())

    worst.add(batch[0], maps, maps, mask, extra={"more": maps})
    batch += 1.0
    maps += 1
    mask.classes[:] = 1

    (one,) = worst.kept
    assert float(one.image.sum()) == 0.0
    assert not any(each.any() for each in (one.real, one.found, one.truth, one.extra["more"]))


def test_bars_of_a_letterbox_do_not_make_two_maps_alike():
    # a picture of 20 x 2 pixels in the middle of 20 x 20: all of it differs
    real, found = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    found[9:11] = 1
    worst = WorstMaps()

    place = Placement(1.0, 1.0, 0.0, 9.0)
    worst.add(torch.zeros(3, 20, 20), real, found, Mask(np.zeros((2, 20), np.uint8), place))

    assert worst.kept[0].share == 0.0
