"""What changed class by class: by slow loops over pixels, and what must not be compared."""

from __future__ import annotations

import numpy as np
import pytest

from intaglio.data.mask import IGNORED
from intaglio.errors import DataError
from intaglio.report.segmentation import ClassIou, Zone
from intaglio.tasks.segment.band import REACH, band
from intaglio.tasks.segment.by_class import borders_of, class_rows, segmentation, zone
from intaglio.tasks.segment.iou import pixel_counts

CLASSES = 5


def maps(seed, count=6):
    """Return maps of blocks: of the truth, with IGNORED pixels, and of two networks, one worse."""
    generator = np.random.default_rng(seed)
    truths = [
        np.kron(generator.integers(0, CLASSES - 1, (4, 5)), np.ones((5, 5))).astype(np.uint8)
        for _ in range(count)
    ]
    sides = []
    for share in (0.1, 0.3):
        wrong = [generator.random(one.shape) < share for one in truths]
        drawn = [generator.integers(0, CLASSES, one.shape, np.uint8) for one in truths]
        sides.append([np.where(w, d, t) for w, d, t in zip(wrong, drawn, truths, strict=True)])
    for one in truths:
        one[generator.random(one.shape) < 0.1] = IGNORED
    return truths, *sides


def counted(truths, founds, kept=None):
    kept = kept or [np.ones(one.shape, bool) for one in truths]
    each = zip(truths, founds, kept, strict=True)
    return np.stack(
        [pixel_counts(truth[keep], found[keep], CLASSES) for truth, found, keep in each]
    )


def slow_iou(truths, founds, number):
    """Return the IoU of a class in percent, from sets of pixels."""
    true, said = set(), set()
    for place, (truth, found) in enumerate(zip(truths, founds, strict=True)):
        for pixel in np.ndindex(truth.shape):
            if truth[pixel] != IGNORED:
                true |= {(place, pixel)} if truth[pixel] == number else set()
                said |= {(place, pixel)} if found[pixel] == number else set()
    return 100 * len(true & said) / len(true | said), len(true)


@pytest.mark.parametrize("seed", range(3))
def test_each_row_is_what_sets_of_pixels_say(seed):
    truths, real, found = maps(seed)

    rows = class_rows(counted(truths, real), counted(truths, found))

    assert len(rows) == CLASSES - 1  # the last class is found and never true
    for row in rows:
        number = int(row.name.removeprefix("class "))
        for side, said in ((real, row.float_iou), (found, row.iou)):
            iou, pixels = slow_iou(truths, side, number)
            assert said == pytest.approx(iou, abs=0.005)  # told with two decimals
            assert row.pixels == pixels


def test_the_class_that_lost_most_is_first_and_equal_ones_stay_in_order():
    real = np.array([[[8, 8, 8], [8, 8, 8], [4, 8, 4], [0, 0, 3]]], np.int64)
    found = np.array([[[8, 8, 8], [2, 8, 2], [4, 8, 4], [0, 0, 9]]], np.int64)

    rows = class_rows(real, found, ("sky", "<b>road</b>", ""))

    assert rows == [
        ClassIou("<b>road</b>", 8, 100.0, 25.0),
        ClassIou("sky", 8, 100.0, 100.0),
        ClassIou("class 2", 8, 50.0, 50.0),
    ]
    assert rows[0].change == -75.0


@pytest.mark.parametrize("seed", range(3))
def test_the_band_and_the_inside_are_counted_apart(seed):
    truths, real, found = maps(seed)
    near = [band(one, 1) for one in truths]
    far = [~one for one in near]
    assert any(one.any() for one in near)

    borders = borders_of(
        (counted(truths, real), counted(truths, found)),
        (counted(truths, real, near), counted(truths, found, near)),
    )

    assert borders.reach_percent == 100 * REACH
    for said, kept in ((borders.band, near), (borders.inside, far)):
        assert said == zone(counted(truths, real, kept), counted(truths, found, kept))
        counts = [
            (truth[keep & (truth != IGNORED)], one[keep & (truth != IGNORED)])
            for truth, one, keep in zip(truths, found, kept, strict=True)
        ]
        pixels = sum(len(truth) for truth, _ in counts)
        right = sum(int((truth == one).sum()) for truth, one in counts)
        assert said.pixels == pixels
        assert said.accuracy == pytest.approx(100 * right / pixels, abs=0.005)  # two decimals


def test_a_zone_by_hand():
    real = np.array([[[6, 8, 6], [2, 2, 4]]], np.int64)
    found = np.array([[[4, 8, 4], [2, 2, 6]]], np.int64)

    # float: 6 of 8, and 2 of 4; integer: 4 of 8, and 2 of 6
    assert zone(real, found) == Zone(10, 62.5, 41.67, 80.0, 60.0)


def test_without_borders_there_is_none_and_without_an_inside_there_is_none():
    whole = counted(*maps(0)[:2])
    nothing = np.zeros_like(whole)

    assert borders_of((whole, whole), (nothing, nothing)) is None
    assert borders_of((whole, whole), (whole, whole)).inside is None
    assert segmentation(whole, whole).borders is None
    assert segmentation(nothing, nothing).per_class == []


def test_networks_that_are_counted_against_other_truths_are_refused():
    truths, real, found = maps(0)
    one = counted(truths, real)

    with pytest.raises(DataError, match="not of the same truth"):
        class_rows(one, counted(truths[:-1], found[:-1]))
    with pytest.raises(DataError, match="count both over the same pictures"):
        zone(one, counted(truths[::-1], found[::-1]))
