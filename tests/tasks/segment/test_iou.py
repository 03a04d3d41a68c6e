"""Counts of pixels and what is made of them, beside plain loops."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from intaglio.data.mask import IGNORED
from intaglio.tasks.segment.iou import class_ious, mean_iou, pixel_accuracy, pixel_counts

TRUTH = arrays(np.uint8, (5, 7), elements=st.sampled_from([0, 1, 2, 3, IGNORED]))
FOUND = arrays(np.uint8, (5, 7), elements=st.integers(0, 3))


@settings(max_examples=60, deadline=None)
@given(TRUTH, FOUND)
def test_counts_are_what_looking_at_every_pixel_gives(truth, found):
    wanted = np.zeros((4, 3), int)
    for true, said in zip(truth.ravel().tolist(), found.ravel().tolist(), strict=True):
        if true != IGNORED:
            wanted[true, 0] += true == said
            wanted[true, 1] += 1
            wanted[said, 2] += 1

    assert np.array_equal(pixel_counts(truth, found, 4), wanted)


@settings(max_examples=60, deadline=None)
@given(TRUTH, FOUND)
def test_iou_is_that_of_sets_of_pixels(truth, found):
    each = class_ious(pixel_counts(truth, found, 4))

    counted = {place for place in np.ndindex(truth.shape) if truth[place] != IGNORED}
    for number in range(4):
        true = {place for place in counted if truth[place] == number}
        said = {place for place in counted if found[place] == number}
        wanted = len(true & said) / len(true | said) if true else math.nan
        assert each[number] == pytest.approx(wanted, nan_ok=True)


def test_a_class_that_is_only_found_has_no_share_but_costs_the_others():
    truth, found = np.zeros((1, 4), np.uint8), np.array([[0, 0, 0, 2]], np.uint8)

    counts = pixel_counts(truth, found, 3)

    assert float(mean_iou(counts)) == 0.75
    assert np.isnan(class_ious(counts)).tolist() == [False, True, True]


def test_counts_of_pictures_add_up_before_anything_is_divided():
    # of class 1, one pixel of one is found in the first picture, 0 of 9 in the second
    one = pixel_counts(np.array([1], np.uint8), np.array([1], np.uint8), 2)
    other = pixel_counts(np.full(9, 1, np.uint8), np.zeros(9, np.uint8), 2)

    assert float(mean_iou(one + other)) == pytest.approx(0.1)  # and not the mean, 0.5
    assert pixel_accuracy(np.stack([one, other])) == pytest.approx(0.1)


def test_where_no_pixel_counts_there_is_no_figure():
    counts = pixel_counts(np.full((2, 2), IGNORED, np.uint8), np.zeros((2, 2), np.uint8), 3)

    assert not counts.any()
    assert math.isnan(float(mean_iou(counts)))
    assert math.isnan(pixel_accuracy(counts))


def test_the_most_classes_there_can_be_are_counted():
    every = np.arange(255, dtype=np.uint8)

    assert float(mean_iou(pixel_counts(every, every, 255))) == 1.0
