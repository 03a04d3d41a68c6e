"""Average precision: worked by hand, by a slow second way, and with pictures that count twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tasks.detect.scenes import detections, scenes, truth

from intaglio.errors import DataError
from intaglio.tasks.detect.average_precision import (
    MEASURES,
    averaged,
    by_class,
    counted_figures,
    curve,
    figures_by_weight,
    voc_figures,
)
from intaglio.tasks.detect.hits import Rule, hits, overlaps_of

A, B, C, D = ((0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10), (60, 0, 70, 10))
NOWHERE = (200, 200, 210, 210)
EVERY = ("voc_ap50", "ap50")


def figure(found, truths, name="voc_ap50"):
    measure = MEASURES[name]
    return figures_by_weight(
        hits(found, truths, measure.rule), np.ones((1, len(truths))), measure.points
    )[0]


@pytest.mark.parametrize("points", ["area", "eleven"])
def test_a_perfect_detector_has_100(points):
    found, truths = [detections((A, 0.9, 0), (B, 0.1, 1))], [truth((A, 0), (B, 1))]

    assert voc_figures(found, truths, points=points) == {"voc_ap50": 100.0}
    assert counted_figures(found, truths) == dict.fromkeys(
        ("ap", "ap50", "ap75", "ap_small"), pytest.approx(100.0, abs=1e-9)
    )


def test_a_worked_example_by_hand():
    # right, wrong, right, of four objects: precision 1, 1/2, 2/3 at recall 1/4, 1/4, 1/2
    found = [detections((A, 0.9, 0), (NOWHERE, 0.8, 0), (B, 0.7, 0))]
    truths = [truth((A, 0), (B, 0), (C, 0), (D, 0))]

    area = voc_figures(found, truths, points="area")
    eleven = voc_figures(found, truths, points="eleven")

    assert area["voc_ap50"] == pytest.approx(100 * (1 / 4 * 1 + 1 / 4 * 2 / 3), abs=1e-9)
    # recalls 0, 0.1, 0.2 have precision 1; 0.3, 0.4, 0.5 have 2/3; the others 0
    assert eleven["voc_ap50"] == pytest.approx(100 * (3 * 1 + 3 * 2 / 3) / 11, abs=1e-9)
    # 0 to 0.25 are 26 recalls, 0.26 to 0.5 are 25
    assert figure(found, truths, "ap50") == pytest.approx(100 * (26 + 25 * 2 / 3) / 101, abs=1e-9)


def test_the_curve_of_the_worked_example():
    found = [detections((A, 0.9, 0), (NOWHERE, 0.8, 0), (B, 0.7, 0))]
    (one,) = hits(found, [truth((A, 0), (B, 0), (C, 0), (D, 0))], Rule((0.5,)))

    drawn = curve(one)

    assert drawn.scores.tolist() == pytest.approx([0.9, 0.8, 0.7])  # float32
    assert drawn.recall.tolist() == [0.25, 0.25, 0.5]
    assert drawn.precision.tolist() == [1.0, 0.5, 2 / 3]


@pytest.mark.parametrize("name", EVERY)
def test_a_wrong_box_above_the_right_one_halves_the_figure(name):
    found = [detections((NOWHERE, 0.9, 0), (A, 0.8, 0))]

    assert figure(found, [truth((A, 0))], name) == 50.0


@pytest.mark.parametrize("name", EVERY)
def test_a_wrong_box_below_all_right_ones_costs_nothing(name):
    found = [detections((NOWHERE, 0.1, 0), (A, 0.8, 0))]

    assert figure(found, [truth((A, 0))], name) == 100.0


def test_the_second_box_of_an_object_is_wrong():
    near = (1, 0, 10, 10)
    found = [detections((A, 0.9, 0), (near, 0.8, 0), (B, 0.7, 0))]

    assert figure(found, [truth((A, 0), (B, 0))]) == pytest.approx(100 * (0.5 + 0.5 * 2 / 3))


def test_an_object_that_nothing_finds_has_0():
    found = [detections((NOWHERE, 0.9, 0))]

    assert voc_figures(found, [truth((A, 0))]) == {"voc_ap50": 0.0}
    assert voc_figures([detections()], [truth((A, 0))]) == {"voc_ap50": 0.0}


def test_a_box_of_another_class_finds_nothing():
    assert figure([detections((A, 0.9, 1))], [truth((A, 0))]) == 0.0


@pytest.mark.parametrize("name", EVERY)
def test_a_crowd_is_neither_to_be_found_nor_wrong_to_find(name):
    found = [detections((A, 0.9, 0), (B, 0.8, 0))]
    truths = [truth((A, 0), (B, 0), crowd=[0])]

    assert figure(found, truths, name) == 100.0
    assert figure([detections((B, 0.8, 0))], truths, name) == 100.0


def test_a_crowd_of_coco_takes_every_box_that_lies_within_it():
    # each covers a fiftieth of the crowd: by intersection over union they would be wrong
    crowd = (100, 100, 200, 200)
    within = [((100 + 20 * k, 100, 114 + 20 * k, 114), 0.9, 0) for k in range(5)]
    found = [detections(*within, (A, 0.5, 0))]
    truths = [truth((A, 0), (crowd, 0), crowd=[1])]

    assert figure(found, truths, "ap50") == 100.0
    assert figure(found, truths, "voc_ap50") == pytest.approx(100 / 6)


def test_voc_alone_counts_a_box_as_wrong_where_the_object_it_overlaps_most_is_taken():
    # the second box overlaps the left object most, and the right one by 6 / 10 > 0.5 as well
    left, right = (0, 0, 100, 100), (25, 0, 125, 100)
    between = (12, 0, 112, 100)
    found = [detections((left, 0.9, 0), (between, 0.8, 0))]
    truths = [truth((left, 0), (right, 0))]

    assert figure(found, truths, "voc_ap50") == 50.0
    assert figure(found, truths, "ap50") == pytest.approx(100.0)


def test_three_of_ten_objects_reach_a_recall_of_three_tenths():
    boxes = [(20 * k, 0, 20 * k + 10, 10) for k in range(10)]
    found = [detections(*((box, 0.9, 0) for box in boxes[:3]))]
    truths = [truth(*((box, 0) for box in boxes))]

    figures = voc_figures(found, truths, points="eleven")

    assert figures["voc_ap50"] == pytest.approx(100 * 4 / 11)  # 0, 0.1, 0.2 and 0.3


def test_a_class_without_objects_is_left_out_of_the_mean():
    found = [detections((A, 0.9, 0), (B, 0.8, 1))]

    assert voc_figures(found, [truth((A, 0))]) == {"voc_ap50": 100.0}
    assert voc_figures(found, [truth((A, 0), (B, 1), crowd=[1])]) == {"voc_ap50": 100.0}


def test_where_there_is_no_object_there_is_no_figure():
    assert voc_figures([detections((A, 0.9, 0))], [truth()]) == {}
    assert voc_figures([], []) == counted_figures([], []) == {}


def test_a_figure_has_its_overlap_in_its_name():
    found = [detections(((0, 0, 10, 8), 0.9, 0))]

    assert voc_figures(found, [truth((A, 0))], overlap=0.75) == {"voc_ap75": 100.0}
    assert voc_figures(found, [truth((A, 0))], overlap=0.85) == {"voc_ap85": 0.0}


def test_detections_and_labels_of_unlike_many_pictures_are_refused():
    with pytest.raises(DataError, match="detections of 1 pictures, and labels of 2"):
        voc_figures([detections()], [truth(), truth()])


def slow_voc(found, truths, number):
    """The area of one class, box by box, from the description of the metric."""
    boxes = sorted(
        ((-float(s), p, k) for p, d in enumerate(found) for k, s in enumerate(d.scores)),
    )
    taken, right, wrong = set(), 0, 0
    total = sum(int(((t.classes == number) & ~t.crowd).sum()) for t in truths)
    points = []
    for _, picture, index in boxes:
        given, one = truths[picture], found[picture]
        if one.classes[index] != number:
            continue
        shares = [
            (plain_overlap(one.boxes[index], given.boxes[g]), -g)
            for g in range(len(given))
            if given.classes[g] == number
        ]
        share, best = max(shares, default=(0.0, 0))
        if share >= 0.5 and given.crowd[-best]:
            continue
        if share >= 0.5 and (picture, best) not in taken:
            taken.add((picture, best))
            right += 1
        else:
            wrong += 1
        points.append((right / total, right / (right + wrong)))
    recalls = sorted({recall for recall, _ in points if recall > 0})
    area, before = 0.0, 0.0
    for recall in recalls:
        area += (recall - before) * max(p for r, p in points if r >= recall)
        before = recall
    return 100 * area


def plain_overlap(one, other):
    one, other = [float(x) for x in one], [float(x) for x in other]
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return width * height / (areas[0] + areas[1] - width * height)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_area_of_voc_is_that_of_a_plain_loop(seed):
    found, truths = scenes(8, 2, seed)

    fast = by_class(hits(found, truths, MEASURES["voc_ap50"].rule), "area")

    for number, value in fast.items():
        assert value == pytest.approx(slow_voc(found, truths, number), abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_overlaps_are_those_of_a_plain_loop(seed):
    found, truths = scenes(1, 2, seed)
    crowd = np.zeros(len(truths[0]), np.bool_)

    fast = overlaps_of(found[0].boxes, truths[0].boxes, crowd)

    slow = [[plain_overlap(a, b) for b in truths[0].boxes] for a in found[0].boxes]
    assert fast.tolist() == (slow if len(truths[0]) else fast.tolist())


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), name=st.sampled_from(sorted(MEASURES)))
def test_a_picture_of_weight_two_counts_as_the_same_picture_twice(seed, name):
    found, truths = scenes(12, 3, seed)
    weights = np.random.default_rng(seed).integers(0, 4, (3, 12)).astype(np.float64)
    measure = MEASURES[name]

    weighed = figures_by_weight(hits(found, truths, measure.rule), weights, measure.points)

    for row, value in zip(weights.astype(int), weighed, strict=True):
        again = np.repeat(np.arange(12), row)
        repeated = [found[i] for i in again], [truths[i] for i in again]
        wanted = list(by_class(hits(*repeated, measure.rule), measure.points).values())
        if wanted:
            assert value == pytest.approx(np.mean(wanted), abs=1e-9)
        else:
            assert np.isnan(value)


def test_a_class_that_no_picture_of_weight_has_is_nan():
    (one,) = hits([detections((A, 0.9, 0)), detections()], [truth((A, 0)), truth()], Rule((0.5,)))

    assert averaged(one, np.array([[1.0, 0.0], [0.0, 3.0]]), "coco").tolist() == pytest.approx(
        [100.0, np.nan], nan_ok=True
    )


def test_counting_in_pieces_changes_nothing(monkeypatch):
    found, truths = scenes(12, 3, 5)
    weights = np.random.default_rng(0).integers(0, 4, (9, 12)).astype(np.float64)
    of = hits(found, truths, MEASURES["ap"].rule)
    whole = figures_by_weight(of, weights, "coco")

    monkeypatch.setattr("intaglio.tasks.detect.average_precision.MOST_NUMBERS", 1)

    assert figures_by_weight(of, weights, "coco").tolist() == whole.tolist()
