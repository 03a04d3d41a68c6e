"""From scores to classes of pixels: each rule, ties, what must be refused, and no stripes."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from intaglio.maps import class_map as module
from intaglio.maps.class_map import class_map, own_classes, probabilities
from intaglio.maps.postprocess import MapPostProcess
from intaglio.maps.sampling import Affine, sampled

HIGHEST = MapPostProcess(4)
LOGIT = MapPostProcess(2, rule="threshold")
SHARE = MapPostProcess(2, rule="threshold", scores="probabilities", threshold=0.3)
INDEX = MapPostProcess(4, rule="index")


def scores(channels: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((channels, height, width), np.float32)


def test_the_class_is_that_of_the_highest_sampled_score():
    given_scores, affine = scores(4, 6, 9), Affine((12, 18), 0.7, 0.6, 1.0, -1.0)

    found = class_map(HIGHEST, given_scores, affine=affine, size=(20, 25))

    assert found.dtype == np.uint8
    assert np.array_equal(found, sampled(given_scores, affine=affine, size=(20, 25)).argmax(0))


def test_of_equal_scores_the_first_class_wins():
    flat = np.full((4, 3, 3), -2.0, np.float32)
    late = flat.copy()
    late[2:] = 5.0

    for given_scores, wanted in ((flat, 0), (late, 2)):
        found = class_map(HIGHEST, given_scores, affine=Affine((3, 3), 0.4, 0.4), size=(7, 7))
        assert (found == wanted).all()
        assert (own_classes(HIGHEST, given_scores) == wanted).all()


def test_scores_are_sampled_and_then_decided_not_the_other_way_round():
    given_scores = np.array([[[9.0, 0.0]], [[0.0, 1.0]]], np.float32)  # the first is much surer

    found = class_map(MapPostProcess(2), given_scores, affine=Affine((1, 2), 0.2), size=(1, 10))

    # 9 (1 - p) > p up to p = 0.9; pixel i lies at p = (i + 1/2) / 5 - 1/2, held within 0..1
    assert found.tolist() == [[0, 0, 0, 0, 0, 0, 0, 1, 1, 1]]


def test_a_picture_in_strips_is_the_whole_to_the_bit(monkeypatch):
    given_scores, affine = scores(4, 9, 9), Affine((9, 9), 9 / 40, 9 / 31)
    whole = class_map(HIGHEST, given_scores, affine=affine, size=(31, 40))

    for strip in (1, 40, 130):
        monkeypatch.setattr(module, "STRIP", strip)
        assert np.array_equal(class_map(HIGHEST, given_scores, affine=affine, size=(31, 40)), whole)


def test_a_logit_says_class_1_above_0_and_a_probability_above_its_threshold():
    logits = np.array([[[-1.0, 0.0, 1e-6, 3.0]]], np.float32)
    shares = np.array([[[0.1, 0.3, 0.31, 0.9]]], np.float32)

    assert own_classes(LOGIT, logits).tolist() == [[0, 0, 1, 1]]
    assert own_classes(SHARE, shares).tolist() == [[0, 0, 1, 1]]


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.9, 1.0])
def test_a_threshold_on_logits_is_one_on_their_sigmoid(threshold):
    logits = scores(1, 8, 8) * 3
    post = MapPostProcess(2, rule="threshold", threshold=threshold)

    found = own_classes(post, logits)

    shares = 1 / (1 + np.exp(-logits[0].astype(np.float64)))
    assert np.array_equal(found, shares > threshold)


def test_classes_themselves_are_taken_from_the_cell_of_the_pixel():
    given_classes = np.array([[0, 1], [2, 3]])

    found = class_map(INDEX, given_classes, affine=Affine((2, 2), 2 / 5, 2 / 4), size=(4, 5))

    # centres of 5 columns at 0.2, 0.6, 1.0, 1.4, 1.8: the third lies on the edge, and is beyond it
    assert found.tolist() == [[0, 0, 1, 1, 1]] * 2 + [[2, 2, 3, 3, 3]] * 2


def test_infinite_scores_are_very_high_or_low_and_make_no_nan():
    given_scores = np.zeros((4, 2, 2), np.float32)
    given_scores[1] = -math.inf
    given_scores[3, 0] = math.inf

    found = class_map(HIGHEST, given_scores, affine=Affine((2, 2)), size=(2, 2))

    assert found.tolist() == [[3, 3], [0, 0]]


def test_probabilities_are_softmax_sigmoid_or_as_they_are():
    logits, shares = scores(4, 3, 3), np.array([[[0.25, 0.5]]], np.float32)
    powers = np.exp(logits.astype(np.float64))

    soft = probabilities(HIGHEST, logits)

    assert soft == pytest.approx(powers / powers.sum(0), abs=1e-6)  # float32 shares of 1
    assert probabilities(SHARE, shares).tolist() == [[[0.75, 0.5]], [[0.25, 0.5]]]
    assert probabilities(LOGIT, np.zeros((1, 1, 1))).tolist() == [[[0.5]], [[0.5]]]
    assert probabilities(MapPostProcess(4, scores="probabilities"), soft) is not None
    assert probabilities(INDEX, np.array([[2]]))[:, 0, 0].tolist() == [0.0, 0.0, 1.0, 0.0]


def test_probabilities_of_huge_logits_are_numbers():
    given_scores = np.array([[[1e38]], [[-1e38]], [[math.inf]], [[-math.inf]]], np.float32)

    found = probabilities(HIGHEST, given_scores)

    assert np.isfinite(found).all()
    assert found.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("post", "shape", "wanted"),
    [
        (HIGHEST, (3, 2, 2), r"\[3, 2, 2\]: \[4, h, w\] was expected"),
        (HIGHEST, (2, 2), r"\[2, 2\]: \[4, h, w\]"),
        (HIGHEST, (4, 0, 2), r"\[4, 0, 2\]"),
        (LOGIT, (2, 2, 2), r"\[2, 2, 2\]: \[1, h, w\]"),
        (INDEX, (1, 2, 2), r"\[1, 2, 2\]: \[h, w\]"),
    ],
)
def test_scores_of_another_shape_are_refused(post, shape, wanted):
    for function in (own_classes, probabilities):
        with pytest.raises(ValueError, match=wanted):
            function(post, np.zeros(shape, np.float32))


def test_an_index_of_no_class_is_refused():
    for wrong in (4, -1):
        with pytest.raises(ValueError, match="there are 4, from 0"):
            own_classes(INDEX, np.array([[0, wrong]]))


def test_a_large_picture_takes_little_more_than_its_own_bytes():
    given_scores, post = scores(21, 65, 65), MapPostProcess(21)
    affine = Affine((65, 65), 0.02, 0.03)
    tracemalloc.start()
    found = class_map(post, given_scores, affine=affine, size=(2000, 3000))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most - found.nbytes < 16e6  # of a float32 for each class and pixel there would be 504e6
