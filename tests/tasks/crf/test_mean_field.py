"""Refined maps: against every pair of pixels, at edges, and what must not happen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.tasks.crf.scenes import blobs, halves, looks, noisy, smooth

from intaglio.errors import DataError, RequestError
from intaglio.tasks.crf.exact import exact_refine
from intaglio.tasks.crf.mean_field import refine
from intaglio.tasks.crf.parameters import DEEPLAB_VOC, WRAPPER

GREY = np.full((32, 32, 3), 90, np.uint8)


@pytest.mark.parametrize("classes", [3, 21])
@pytest.mark.parametrize("picture", [smooth(32), noisy(32), GREY], ids=["smooth", "noisy", "grey"])
def test_the_lattice_gives_what_every_pair_gives(picture, classes):
    probabilities = looks(picture, classes)

    beliefs = refine(probabilities, picture, DEEPLAB_VOC)

    exact = exact_refine(probabilities, picture, DEEPLAB_VOC)
    apart = np.abs(beliefs - exact)
    assert apart.mean() < 0.005
    assert np.percentile(apart, 99) < 0.02
    assert (beliefs.argmax(0) == exact.argmax(0)).mean() >= 0.995


@pytest.mark.parametrize("classes", [3, 21])
@pytest.mark.parametrize("picture", [smooth(32), noisy(32), GREY], ids=["smooth", "noisy", "grey"])
def test_with_weights_of_13_it_still_does_but_for_beliefs_near_a_draw(picture, classes):
    probabilities = looks(picture, classes)

    beliefs = refine(probabilities, picture, WRAPPER)

    exact = exact_refine(probabilities, picture, WRAPPER)
    apart = np.abs(beliefs - exact)
    assert apart.mean() < 0.005
    # such weights decide a pixel between two classes by the last percent of a message
    assert np.percentile(apart, 99) < 0.05
    assert (beliefs.argmax(0) == exact.argmax(0)).mean() >= 0.99


def test_an_edge_moves_to_where_the_colours_change():
    picture, light = halves(32)
    shifted = np.zeros_like(light)
    shifted[:, 16 + 3 :] = 1
    probabilities = np.stack([np.where(shifted, 0.2, 0.8), np.where(shifted, 0.8, 0.2)])
    probabilities = probabilities.astype(np.float32)

    beliefs = refine(probabilities, picture, replace(WRAPPER, gaussian_weight=0.0))

    assert (probabilities.argmax(0) == light).mean() < 0.95
    assert (beliefs.argmax(0) == light).all()


def test_a_lone_pixel_joins_those_around_it():
    probabilities = np.full((2, 32, 32), 0.2, np.float32)
    probabilities[0] = 0.8
    probabilities[:, 10, 10] = 0.4, 0.6

    beliefs = refine(probabilities, GREY, DEEPLAB_VOC)

    assert (beliefs.argmax(0) == 0).all()


@pytest.mark.parametrize("crf", [DEEPLAB_VOC, WRAPPER])
def test_beliefs_are_probabilities(crf):
    beliefs = refine(blobs(32, 5), noisy(32), crf)

    assert beliefs.dtype == np.float32
    assert beliefs.min() >= 0
    # float32: 5 terms of at most 1, each good to 6e-8
    assert beliefs.sum(0) == pytest.approx(1, abs=1e-6)


def test_without_weights_nothing_changes():
    probabilities = blobs(16, 4)
    nothing = replace(DEEPLAB_VOC, gaussian_weight=0.0, bilateral_weight=0.0)

    assert refine(probabilities, smooth(16), nothing) == pytest.approx(probabilities, abs=1e-4)


def test_where_all_classes_are_alike_everywhere_nothing_changes():
    probabilities = np.full((4, 16, 16), 0.25, np.float32)

    assert refine(probabilities, noisy(16), WRAPPER) == pytest.approx(0.25, abs=1e-6)


def test_one_class_is_certain():
    beliefs = refine(np.ones((1, 8, 8), np.float32), noisy(8), WRAPPER)

    assert (beliefs == 1).all()


def test_a_class_that_nobody_believes_in_changes_nothing():
    probabilities = blobs(32, 3)
    more = np.concatenate([probabilities, np.zeros_like(probabilities[:1])])

    beliefs = refine(more, smooth(32), DEEPLAB_VOC)

    assert beliefs[3].max() < 1e-2  # it counts as 1e-5, and agrees with nobody
    # the sum of a pixel has 1e-5 more in it
    assert beliefs[:3] == pytest.approx(refine(probabilities, smooth(32), DEEPLAB_VOC), abs=1e-2)


def test_the_order_of_classes_does_not_matter():
    probabilities, picture = blobs(32, 4), smooth(32)

    turned = refine(probabilities[::-1].copy(), picture, DEEPLAB_VOC)

    # the same sums in float32, the softmax's in another order
    assert turned[::-1] == pytest.approx(refine(probabilities, picture, DEEPLAB_VOC), abs=1e-4)


def test_it_is_the_same_every_time_and_changes_nothing_it_is_given():
    probabilities, picture = blobs(32, 4), noisy(32)
    kept = probabilities.copy(), picture.copy()

    first, second = (refine(probabilities, picture, WRAPPER) for _ in range(2))

    assert np.array_equal(first, second)
    assert np.array_equal(probabilities, kept[0])
    assert np.array_equal(picture, kept[1])


def test_a_picture_need_not_be_square_nor_larger_than_a_pixel():
    for height, width in ((1, 1), (1, 9), (17, 3)):
        probabilities = np.full((2, height, width), 0.5, np.float32)

        beliefs = refine(probabilities, np.zeros((height, width, 3), np.uint8), DEEPLAB_VOC)

        assert beliefs == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p, i: (np.full_like(p, np.nan), i), "sum to 1"),
        (lambda p, i: (np.where(p > 0.4, np.inf, p), i), "sum to 1"),
        (lambda p, i: (p - 0.5, i), "the lowest is"),
        (lambda p, i: (p * 2, i), "sums are from 2"),
        (lambda p, i: (p[:, :-1], i), "same H and W"),
        (lambda p, i: (p, i[..., :1]), "same H and W"),
        (lambda p, i: (p, i.astype(np.float32)), "uint8"),
        (lambda p, i: (p[0], i), r"\[classes, H, W\]"),
        (lambda p, i: (p[:0], i), r"\[classes, H, W\]"),
    ],
)
def test_what_is_no_map_of_the_picture_is_refused(change, words):
    probabilities, picture = change(np.full((2, 8, 8), 0.5, np.float32), noisy(8))

    with pytest.raises(DataError, match=words):
        refine(probabilities, picture, DEEPLAB_VOC)


def test_a_compatibility_of_other_classes_is_refused():
    crf = replace(DEEPLAB_VOC, compatibility=((0.0, 1.0), (1.0, 0.0)))

    with pytest.raises(RequestError, match="of 2 classes, the probabilities are of 3"):
        refine(blobs(8, 3), noisy(8), crf)
