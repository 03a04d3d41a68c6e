"""Parameters by labelled pictures: found where they help, and None where they do not."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.tasks.crf.scenes import halves

from intaglio.data.mask import IGNORED, Mask
from intaglio.errors import DataError, RequestError
from intaglio.maps.postprocess import MapPostProcess
from intaglio.tasks.crf.mean_field import refine
from intaglio.tasks.crf.parameters import DEEPLAB_VOC
from intaglio.tasks.crf.search import Grid, Scene, figures_of, grid_for, search
from intaglio.tasks.segment.segment import segmenter_task

SMALL = Grid((2.0, 8.0), (20.0,), (3.0, 20.0), (1.0,), (2.0,))
BASE = replace(DEEPLAB_VOC, iterations=2)


def scene(shift, seed=0):
    """Two halves, said to meet `shift` pixels farther right than they do."""
    picture, light = halves(16, seed)
    said = np.zeros_like(light)
    said[:, 8 + shift :] = 1
    sure = np.where(said, 0.7, 0.3).astype(np.float32)
    return Scene(np.stack([1 - sure, sure]), picture, light)


def plainly_scored(scenes, crf):
    """The mean over true classes of pixels in both over pixels in either, one pixel at a time."""
    both, either, true = {}, {}, set()
    for one in scenes:
        beliefs = one.probabilities if crf is None else refine(one.probabilities, one.picture, crf)
        for truth, said in zip(one.classes.ravel(), beliefs.argmax(0).ravel(), strict=True):
            if truth != IGNORED:
                true.add(truth)
                both[truth] = both.get(truth, 0) + (truth == said)
                for of in {int(truth), int(said)}:
                    either[of] = either.get(of, 0) + 1
    return np.mean([both.get(of, 0) / count for of, count in either.items() if of in true])


def test_it_finds_parameters_at_least_as_good_as_all_of_the_grid():
    scenes = [scene(2), scene(3, seed=1)]

    best = search(scenes, SMALL, base=BASE)

    scores = [
        plainly_scored(scenes, replace(BASE, **dict(zip(SMALL.axes(), values, strict=True))))
        for values in itertools.product(*SMALL.axes().values())
    ]
    assert best is not None
    assert figures_of(scenes, best).mean_iou == pytest.approx(plainly_scored(scenes, best))
    assert plainly_scored(scenes, best) >= max(scores) > plainly_scored(scenes, None)
    assert best.iterations == 2


def test_it_answers_the_same_every_time():
    scenes = [scene(2), scene(3, seed=1)]

    assert search(scenes, SMALL, base=BASE) == search(scenes, SMALL, base=BASE)


def test_what_is_right_already_is_left_alone():
    assert search([scene(0)], SMALL, base=BASE) is None


def test_the_boundary_f_is_that_of_the_meter():
    scenes = [three_of(scene(2)), three_of(scene(3, seed=1))]

    figure = figures_of(scenes, None).boundary_f

    assert 100 * figure == pytest.approx(metered(scenes, None, "boundary_f"), rel=1e-12)


def beside_its_place():
    """A pole, one pixel wide, that the network says stands a pixel farther right."""
    truth, said = np.zeros((2, 24, 24), np.uint8)
    truth[:, 11], said[:, 12] = 1, 1
    sure = np.where(said, 0.6, 0.02).astype(np.float32)
    return Scene(np.stack([1 - sure, sure]), np.full((24, 24, 3), 90, np.uint8), truth)


def test_parameters_that_lower_the_boundary_f_are_not_taken_though_mean_iou_rises():
    scenes = [beside_its_place()]
    lowering = replace(BASE, bilateral_weight=0.0, gaussian_weight=3.0, gaussian_xy=3.0)
    before, after = figures_of(scenes, None), figures_of(scenes, lowering)
    grid = Grid((0.0,), (20.0,), (3.0,), (3.0,), (3.0,))

    # the pole is wiped out: none of its pixels were right, and all of its border was near enough
    assert after.mean_iou > before.mean_iou
    assert after.boundary_f < before.boundary_f
    assert search(scenes, grid, base=BASE) is None


def test_where_a_field_only_spoils_it_is_left_out():
    right = scene(0)
    grey = Scene(right.probabilities, np.full_like(right.picture, 90), right.classes)
    wide = Grid((30.0,), (500.0,), (50.0,), (30.0,), (50.0,))

    assert plainly_scored([grey], replace(BASE, bilateral_weight=30.0)) <= 1.0
    assert search([grey], wide, base=BASE) is None


def three_of(scene):
    """The scene, as a network says it that knows a third class and sees it at the left."""
    third = np.zeros_like(scene.probabilities[:1])
    third[0, :, :3] = 2.0
    says = np.concatenate([scene.probabilities, third])
    return replace(scene, probabilities=says / says.sum(0))


def metered(scenes, crf, name="miou"):
    """The figure that the meter of reports gives to the maps, percent."""
    meter = segmenter_task(MapPostProcess(3)).meter(["scores"])
    for one in scenes:
        says = one.probabilities if crf is None else refine(one.probabilities, one.picture, crf)
        meter.add([torch.from_numpy(np.ascontiguousarray(says))[None]], [Mask(one.classes)])
    return meter.figures()[name]


@pytest.mark.parametrize("crf", [None, replace(BASE, bilateral_weight=2.0)])
def test_what_is_made_high_is_the_figure_of_the_meter_where_a_class_is_only_found(crf):
    scenes = [three_of(scene(2)), three_of(scene(3, seed=1))]
    scenes[0].classes[:4] = IGNORED

    figure = figures_of(scenes, crf).mean_iou

    # float64 sums of the same whole numbers in both
    assert 100 * figure == pytest.approx(metered(scenes, crf), rel=1e-12)
    assert figure == pytest.approx(plainly_scored(scenes, crf), rel=1e-12)


def test_a_stray_class_that_is_nowhere_true_is_not_worth_losing_true_pixels_for():
    lit = scene(0)
    says = np.zeros((3, *lit.classes.shape), np.float32)
    says[0], says[1] = lit.classes == 0, lit.classes == 1
    says[:, 2, 2] = (0, 0, 1)
    stray = replace(lit, probabilities=says)

    figure = figures_of([stray], None).mean_iou

    # of class 0 one of 16 x 8 pixels is missing, class 1 is whole, class 2 has no share
    assert figure == pytest.approx((127 / 128 + 1) / 2, rel=1e-12)


def test_without_a_labelled_pixel_there_is_nothing_to_search_by():
    blank = scene(0)
    blank.classes[:] = IGNORED

    assert np.isnan(figures_of([blank], None).mean_iou)
    for scenes in ([], [blank]):
        with pytest.raises(DataError, match="has a class"):
            search(scenes, SMALL)


def test_labels_that_do_not_fit_are_refused_with_their_scene():
    strange, small = scene(0), scene(0)
    strange.classes[3, 3] = 2
    small = Scene(small.probabilities, small.picture, small.classes[:-1])

    with pytest.raises(DataError, match="scene 1: class 2, where the network has 2"):
        search([scene(0), strange], SMALL)
    with pytest.raises(DataError, match="scene 0: classes are"):
        search([small], SMALL)


def test_what_is_tried_lies_in_shares_of_the_picture():
    large, small = grid_for((375, 500)), grid_for((250, 187))

    assert large.bilateral_xy == (8.0, 40.0, 80.0)
    assert small.bilateral_xy == (4.0, 20.0, 40.0)
    assert small.gaussian_xy == (1.5,)
    assert small.bilateral_rgb == large.bilateral_rgb


@pytest.mark.parametrize("values", [(), (3.0, 2.0), (2.0, 2.0)])
def test_a_grid_that_does_not_rise_is_refused(values):
    with pytest.raises(RequestError, match="bilateral_rgb"):
        replace(SMALL, bilateral_rgb=values)
