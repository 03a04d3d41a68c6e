"""Parameters by labelled pictures: found where they help, and None where they do not."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from tests.tasks.crf.scenes import halves

from intaglio.data.mask import IGNORED
from intaglio.errors import DataError, RequestError
from intaglio.tasks.crf.mean_field import refine
from intaglio.tasks.crf.parameters import DEEPLAB_VOC
from intaglio.tasks.crf.search import Grid, Scene, mean_iou, search

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
    """The mean over classes of pixels in both over pixels in either, one pixel at a time."""
    both, either = {}, {}
    for one in scenes:
        beliefs = one.probabilities if crf is None else refine(one.probabilities, one.picture, crf)
        for truth, said in zip(one.classes.ravel(), beliefs.argmax(0).ravel(), strict=True):
            if truth != IGNORED:
                both[truth] = both.get(truth, 0) + (truth == said)
                for of in {int(truth), int(said)}:
                    either[of] = either.get(of, 0) + 1
    return np.mean([both.get(of, 0) / count for of, count in either.items()])


def test_it_finds_parameters_at_least_as_good_as_all_of_the_grid():
    scenes = [scene(2), scene(3, seed=1)]

    best = search(scenes, SMALL, base=BASE)

    scores = [
        plainly_scored(scenes, replace(BASE, **dict(zip(SMALL.axes(), values, strict=True))))
        for values in itertools.product(*SMALL.axes().values())
    ]
    assert best is not None
    assert plainly_scored(scenes, best) >= max(scores) > plainly_scored(scenes, None)
    assert best.iterations == 2


def test_it_answers_the_same_every_time():
    scenes = [scene(2), scene(3, seed=1)]

    assert search(scenes, SMALL, base=BASE) == search(scenes, SMALL, base=BASE)


def test_what_is_right_already_is_left_alone():
    assert search([scene(0)], SMALL, base=BASE) is None


def test_where_a_field_only_spoils_it_is_left_out():
    right = scene(0)
    grey = Scene(right.probabilities, np.full_like(right.picture, 90), right.classes)
    wide = Grid((30.0,), (500.0,), (50.0,), (30.0,), (50.0,))

    assert plainly_scored([grey], replace(BASE, bilateral_weight=30.0)) <= 1.0
    assert search([grey], wide, base=BASE) is None


def test_pixels_without_a_class_count_for_nothing():
    truth = np.array([[0, 1, IGNORED, 1]], np.uint8)
    said = np.array([[0, 1, 0, 0]], np.uint8)

    # class 0: 1 of 2; class 1: 1 of 2
    assert mean_iou([truth], [said]) == pytest.approx(0.5)


def test_the_mean_iou_is_what_counting_pixel_by_pixel_gives():
    scenes = [scene(2), scene(3, seed=1)]
    scenes[0].classes[:4] = IGNORED

    found = [one.probabilities.argmax(0).astype(np.uint8) for one in scenes]

    assert mean_iou([one.classes for one in scenes], found) == pytest.approx(
        plainly_scored(scenes, None)
    )


def test_without_a_labelled_pixel_there_is_nothing_to_search_by():
    blank = scene(0)
    blank.classes[:] = IGNORED

    assert np.isnan(mean_iou([blank.classes], [blank.classes]))
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


@pytest.mark.parametrize("values", [(), (3.0, 2.0), (2.0, 2.0)])
def test_a_grid_that_does_not_rise_is_refused(values):
    with pytest.raises(RequestError, match="bilateral_rgb"):
        Grid(bilateral_rgb=values)
