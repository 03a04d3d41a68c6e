"""COCO's figures: pycocotools and our own counting say the same, and nothing is printed."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tasks.detect.scenes import detections, scenes, truth

from intaglio.errors import DataError, RequestError
from intaglio.tasks.detect.average_precision import (
    MEASURES,
    by_class,
    counted_figures,
    figures_by_weight,
)
from intaglio.tasks.detect.coco import coco_figures
from intaglio.tasks.detect.hits import Rule, hits

pytest.importorskip("pycocotools")
SMALL, MEDIUM, LARGE = (0, 0, 10, 10), (0, 0, 50, 50), (0, 0, 200, 200)
ROUNDING = 1e-9
"""Both sum the same thousands of numbers up to 100, in another order."""


def test_a_perfect_detector_has_100_in_every_figure():
    boxes = [(box, index) for index, box in enumerate((SMALL, MEDIUM, LARGE))]
    found = [detections(*((box, 0.9, index) for box, index in boxes))]

    assert coco_figures(found, [truth(*boxes)]) == dict.fromkeys(
        ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"), pytest.approx(100.0)
    )


def test_a_figure_of_no_object_is_absent():
    figures = coco_figures([detections((MEDIUM, 0.9, 0))], [truth((MEDIUM, 0))])

    assert list(figures) == ["ap", "ap50", "ap75", "ap_medium"]


@pytest.mark.parametrize("truths", [[truth()], [truth((SMALL, 0), crowd=[0])], []])
def test_without_an_object_there_is_no_figure(truths):
    assert coco_figures([detections((SMALL, 0.9, 0))] * len(truths), truths) == {}


def test_nothing_found_is_0():
    assert set(coco_figures([detections()], [truth((SMALL, 0))]).values()) == {0.0}


def test_an_overlap_of_six_tenths_counts_at_three_of_ten_thresholds():
    found = [detections(((0, 0, 10, 6.25), 0.9, 0))]  # 0.5, 0.55 and 0.6

    figures = coco_figures(found, [truth((SMALL, 0))])

    assert figures == {
        name: pytest.approx(value, abs=ROUNDING)
        for name, value in {"ap": 30.0, "ap50": 100.0, "ap75": 0.0, "ap_small": 30.0}.items()
    }


def test_the_area_of_the_labels_decides_what_is_small():
    thin = replace(truth((LARGE, 0)), areas=np.array([100.0]))  # of its outline

    assert list(coco_figures([detections()], [thin])) == ["ap", "ap50", "ap75", "ap_small"]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(1, 5))
def test_our_own_counting_equals_pycocotools(seed, classes):
    found, truths = scenes(14, classes, seed)

    theirs, ours = coco_figures(found, truths), counted_figures(found, truths)

    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, abs=ROUNDING), name


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_our_own_counting_equals_pycocotools_where_scores_and_overlaps_are_tied(seed):
    found, truths = scenes(10, 2, seed)
    found = [
        replace(one, boxes=(one.boxes / 40).round() * 40, scores=(one.scores * 4).round() / 4)
        for one in found
    ]
    truths = [
        truth(*(((box / 40).round() * 40, 0) for box in one.boxes), crowd=one.crowd.nonzero()[0])
        for one in truths
    ]

    theirs, ours = coco_figures(found, truths), counted_figures(found, truths)

    assert ours == pytest.approx(theirs, abs=ROUNDING)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_only_the_surest_of_a_class_in_a_picture_count(most):
    found, truths = scenes(20, 2, 3, objects=20)
    measure = MEASURES["ap50"]
    rule = replace(measure.rule, most=most)

    theirs = coco_figures(found, truths, most=most)

    ours = figures_by_weight(hits(found, truths, rule), np.ones((1, 20)), "coco")
    assert theirs["ap50"] == pytest.approx(ours[0], abs=ROUNDING)
    assert theirs["ap50"] < coco_figures(found, truths)["ap50"]


def test_the_mean_over_classes_is_the_figure():
    found, truths = scenes(20, 4, 1)

    each = by_class(hits(found, truths, Rule((0.5,), most=100)), "coco")

    assert coco_figures(found, truths)["ap50"] == pytest.approx(np.mean(list(each.values())))


def test_nothing_is_printed(capsys):
    coco_figures(*scenes(3, 2, 0))

    assert capsys.readouterr() == ("", "")


def test_nothing_that_is_given_changes():
    found, truths = scenes(3, 2, 0)
    before = [one.boxes.copy() for one in (*found, *truths)]

    coco_figures(found, truths)

    assert all(
        np.array_equal(one.boxes, box) for one, box in zip((*found, *truths), before, strict=True)
    )


def test_detections_and_labels_of_unlike_many_pictures_are_refused():
    with pytest.raises(DataError, match="detections of 1 pictures, and labels of 0"):
        coco_figures([detections()], [])


def test_without_pycocotools_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)

    with pytest.raises(RequestError, match=r'pip install "intaglio\[detect\]"'):
        coco_figures([], [])


def test_of_two_objects_overlapped_alike_the_last_is_taken():
    # the surer box overlaps both alike, the other one only the left
    left, right = (0, 0, 10, 10), (4, 0, 14, 10)
    found = [detections(((2, 0, 12, 10), 0.9, 0), ((0, 0, 8, 10), 0.8, 0))]
    takes_right, takes_left = [truth((left, 0), (right, 0))], [truth((right, 0), (left, 0))]

    for figures_of in (coco_figures, counted_figures):
        assert figures_of(found, takes_right)["ap50"] == pytest.approx(100.0)
        assert figures_of(found, takes_left)["ap50"] == pytest.approx(100 * 51 / 101)
