"""The meter of segmenters, as evaluation and search use it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from intaglio.data.mask import IGNORED, Mask
from intaglio.data.truth import Category, Placement
from intaglio.errors import DataError
from intaglio.maps.postprocess import MapPostProcess
from intaglio.tasks.evaluate import _loss
from intaglio.tasks.segment.band import band, reach_of
from intaglio.tasks.segment.bootstrap import iou_error
from intaglio.tasks.segment.boundary import boundary_f
from intaglio.tasks.segment.iou import mean_iou, pixel_counts
from intaglio.tasks.segment.meter import MeanIou
from intaglio.tasks.segment.pairing import Pairing
from intaglio.tasks.task import Agreement, Resampled, Showing
from tasks.segment.maps_made import blobs, mask, saying

CLASSES = 4
TRUTHS = [blobs(24, 32, CLASSES, seed) for seed in range(6)]
FOUNDS = [
    blobs(24, 32, CLASSES, seed + 100 * (seed % 2)) for seed in range(6)
]  # every second right


def filled(founds, truths=TRUTHS, **fields) -> MeanIou:
    meter = MeanIou(**fields)
    meter.add([saying(*founds, classes=CLASSES)], [mask(truth) for truth in truths])
    return meter


def test_the_figures_are_of_all_pictures_together_that_of_the_wish_first():
    figures = filled(FOUNDS).figures()

    truth, found = np.stack(TRUTHS), np.stack(FOUNDS)
    ious = [
        ((truth == k) & (found == k)).sum() / ((truth == k) | (found == k)).sum()
        for k in range(CLASSES)
    ]
    borders = [boundary_f(*pair) for pair in zip(TRUTHS, FOUNDS, strict=True)]
    assert list(figures) == ["miou", "pixel_accuracy", "boundary_f"]
    assert figures["miou"] == pytest.approx(100 * np.mean(ious))
    assert figures["pixel_accuracy"] == pytest.approx(100 * (truth == found).mean())
    assert figures["boundary_f"] == pytest.approx(100 * np.mean(borders))


def test_a_network_that_is_right_has_100_of_each():
    assert set(filled(TRUTHS).figures().values()) == {100.0}


def test_batches_add_up_whatever_their_size():
    whole, parts = filled(FOUNDS), MeanIou()
    for truth, found in zip(TRUTHS, FOUNDS, strict=True):
        parts.add([saying(found, classes=CLASSES)], [mask(truth)])

    assert parts.figures() == whole.figures()


def test_labels_may_be_a_tensor_of_whole_numbers():
    meter = MeanIou()
    labels = torch.from_numpy(np.stack(TRUTHS))

    meter.add([saying(*FOUNDS, classes=CLASSES)], labels.long())

    assert meter.figures() == filled(FOUNDS).figures()


def test_ignored_pixels_count_for_nothing():
    truths = [truth.copy() for truth in TRUTHS]
    for truth in truths:
        truth[:, 20:] = IGNORED
    other = [
        np.where(truth == IGNORED, (found + 1) % CLASSES, found).astype(np.uint8)
        for truth, found in zip(truths, FOUNDS, strict=True)
    ]

    assert filled(FOUNDS, truths).figures() == filled(other, truths).figures()
    assert filled(FOUNDS, truths).figures() != filled(FOUNDS).figures()


def test_where_all_pixels_are_ignored_there_are_no_figures_and_no_loss():
    nothing = [np.full((24, 32), IGNORED, np.uint8)]
    meter = filled(FOUNDS[:1], nothing)

    assert meter.figures() == {}
    assert (meter.lost(meter), meter.chance(), meter.error_against(meter)) == (0.0, 0.0, 0.0)
    assert _loss(meter, meter, 1) is None


def test_a_picture_that_is_all_ignored_changes_nothing_of_the_others():
    nothing = np.full((24, 32), IGNORED, np.uint8)

    assert filled([*FOUNDS, FOUNDS[0]], [*TRUTHS, nothing]).figures() == filled(FOUNDS).figures()


def test_a_picture_of_one_class_has_no_border_and_no_part_in_boundary_f():
    plain = np.zeros((24, 32), np.uint8)

    assert "boundary_f" not in filled([plain], [plain]).figures()
    both = filled([TRUTHS[0], plain], [TRUTHS[0], plain])
    assert both.figures()["boundary_f"] == 100.0


def test_classes_of_the_data_set_become_the_networks():
    post = MapPostProcess(3, names=("background", "cat", "dog"))
    categories = tuple(Category(n, name) for n, name in enumerate(("background", "dog", "cup")))
    truth = np.array([[0, 1, 2, 1]], np.uint8)
    meter = MeanIou(post, categories=categories)

    meter.add([saying(np.array([[0, 2, 0, 2]]), classes=3)], [mask(truth)])

    assert meter.figures()["miou"] == 100.0


def test_pictures_are_scored_at_their_own_pixels_or_at_the_inputs():
    truth = blobs(48, 96, CLASSES)
    given = Mask(truth, Placement(0.5, 0.5, 0.0, 12.0))
    seen = np.zeros((48, 48), np.uint8)
    seen[12:36] = truth[1::2, 1::2]
    figures = {}
    for at in ("picture", "input"):
        meter = MeanIou(pairing=Pairing(scored_at=at))
        meter.add([saying(seen, classes=CLASSES)], [given])
        figures[at] = meter.figures()["miou"]
        pixels = meter.tally.counts[0][:, 1].sum()
        assert pixels == (48 * 96 if at == "picture" else 24 * 48)

    assert figures["input"] == 100.0
    assert 80.0 < figures["picture"] < 100.0


def test_counts_near_borders_are_part_of_all_counts():
    meter = filled(FOUNDS)

    near = band(TRUTHS[0], reach_of((24, 32)))
    assert np.array_equal(
        meter.tally.bands[0], pixel_counts(TRUTHS[0][near], FOUNDS[0][near], CLASSES)
    )
    assert (np.stack(meter.tally.bands) <= np.stack(meter.tally.counts)).all()


def test_points_lost_are_the_difference_of_mean_iou():
    real, found = filled(TRUTHS), filled(FOUNDS)

    assert found.lost(real) == pytest.approx(100.0 - found.figures()["miou"])
    assert real.lost(found) == -found.lost(real)
    assert found.by_image() is None


def test_the_error_of_a_loss_is_the_bootstraps_and_that_of_the_picture_that_counts_most():
    real, found = filled(TRUTHS), filled(FOUNDS)

    drawn = iou_error(np.stack(real.tally.counts), np.stack(found.tally.counts))

    assert drawn > 1.0
    without = [
        filled(TRUTHS[:k] + TRUTHS[k + 1 :], TRUTHS[:k] + TRUTHS[k + 1 :]).figures()["miou"]
        - filled(FOUNDS[:k] + FOUNDS[k + 1 :], TRUTHS[:k] + TRUTHS[k + 1 :]).figures()["miou"]
        for k in range(6)
    ]
    part = max(abs(drop - found.lost(real)) for drop in without)
    assert part > 1.0
    assert found.error_against(real) == pytest.approx(math.hypot(drawn, part))


def test_a_point_is_proved_by_pictures_that_lose_alike():
    # 26 pictures of 768 pixels, 4 to 6 of which are wrong in each: 0.5 to 0.8 %
    truths = [blobs(24, 32, CLASSES, seed) for seed in range(26)]
    founds = [truth.copy() for truth in truths]
    for number, each in enumerate(founds):
        each[: 4 + number % 3, 3] = (each[: 4 + number % 3, 3] + 1) % CLASSES
    real, found = filled(truths, truths), filled(founds, truths)

    assert 0.5 < found.lost(real) < 3.0
    assert found.error_against(real) < 0.5 * found.lost(real)


def test_networks_that_find_the_same_lose_nothing_for_sure():
    assert filled(FOUNDS).error_against(filled(FOUNDS)) == 0.0


@pytest.mark.parametrize("others", [0, 2])
def test_one_picture_says_nothing_of_others(others):
    ignored = [np.full((24, 32), IGNORED, np.uint8)] * others
    truths, founds = [TRUTHS[0], *ignored], [FOUNDS[1], *TRUTHS[:others]]
    real, found = filled([FOUNDS[0], *TRUTHS[:others]], truths), filled(founds, truths)

    assert found.error_against(real) == real.figures()["miou"] > 0.0


def test_evaluation_takes_the_meters_own_error():
    real, found = filled(TRUTHS), filled(FOUNDS)

    loss = _loss(real, found, 6)

    assert isinstance(found, Resampled)
    assert (loss.points, loss.error) == (found.lost(real), found.error_against(real))


def test_chance_is_what_one_class_everywhere_reaches():
    meter = filled(FOUNDS)
    constants = [
        filled([np.full((24, 32), number, np.uint8)] * 6).figures()["miou"]
        for number in range(CLASSES)
    ]

    assert meter.chance() == pytest.approx(max(constants))
    assert _loss(filled([np.full((24, 32), 1, np.uint8)] * 6), meter, 6) is None


def test_no_map_of_a_former_batch_is_kept():
    meter = filled(FOUNDS)
    meter.add([saying(FOUNDS[0], classes=CLASSES)], [mask(TRUTHS[0])])

    assert len(meter._last) == 1
    assert all(each.base is None and each.size == CLASSES * 3 for each in meter.tally.counts)


def test_the_worst_pictures_are_kept_where_someone_looks():
    real, found = filled(TRUTHS), filled(FOUNDS)
    found.look(real, torch.zeros(6, 3, 24, 32))

    assert isinstance(found, Showing)
    assert {one.number for one in found.worst.kept[:3]} == {1, 3, 5}  # the others are right
    assert found.worst.kept[-1].share == 1.0


def test_what_is_shown_are_classes_borders_and_pictures():
    post = MapPostProcess(CLASSES, names=("road", "sky", "tree", "car"))
    real, found = filled(TRUTHS, post=post), filled(FOUNDS, post=post)
    found.look(real, torch.zeros(6, 3, 24, 32))

    shown = found.shown(real, replace(Agreement(6, 5.0, {}), parts=71.0), {})

    assert {row.name for row in shown.segmentation.per_class} == set(post.names)
    assert shown.segmentation.matched_percent == 71.0
    mean = float(mean_iou(np.sum(found.tally.counts, axis=0)))
    told = [row.iou for row in shown.segmentation.per_class]
    assert np.mean(told) == pytest.approx(100 * mean, abs=0.01)  # rows are told with two decimals
    assert [section.key for section in shown.sections] == ["pictures"]


def test_labels_of_another_number_of_pictures_are_refused():
    with pytest.raises(DataError, match="2 images and 1 masks"):
        MeanIou().add([saying(*FOUNDS[:2], classes=CLASSES)], [mask(TRUTHS[0])])
