"""What changed class by class: the very numbers that the figures of all classes are made of."""

from __future__ import annotations

import numpy as np
import pytest
from tests.tasks.detect.scenes import detections, scenes, truth

from intaglio.tasks.detect.average_precision import MEASURES, by_class
from intaglio.tasks.detect.by_class import (
    ALL,
    LOSERS,
    class_pairs,
    curves_section,
    precision_at,
)
from intaglio.tasks.detect.coco import coco_figures
from intaglio.tasks.detect.hits import hits

A, B = (0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0)
AP50 = MEASURES["ap50"]


def pairs_of(count=30, classes=6, seed=0, names=()):
    real, truths = scenes(count, classes, seed)
    found, _ = scenes(count, classes, seed, noise=14.0)
    return class_pairs(real, found, truths, measure=AP50, names=names), real, found, truths


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_over_classes_is_ap50_by_pycocotools(seed: int):
    pairs, real, found, truths = pairs_of(seed=seed)

    for name, side in (("float_ap50", real), ("ap50", found)):
        mean = np.mean([getattr(pair.row, name) for pair in pairs])
        # each is told with two decimals
        assert mean == pytest.approx(coco_figures(side, truths)["ap50"], abs=0.005)


def test_every_class_with_objects_is_there_the_worst_first_and_objects_add_up():
    pairs, _, _, truths = pairs_of()

    changes = [pair.row.change for pair in pairs]
    assert changes == sorted(changes)
    wanted = sum(int((~one.crowd).sum()) for one in truths)
    assert sum(pair.row.objects for pair in pairs) == wanted


def test_classes_that_changed_alike_stay_in_the_order_of_the_data_set():
    same, there = detections((A, 0.9, 2), (B, 0.8, 0)), truth((A, 2), (B, 0))

    pairs = class_pairs([same], [same], [there], measure=AP50, names=("cat", "", "eel"))

    assert [pair.row.name for pair in pairs] == ["cat", "eel"]


@pytest.mark.parametrize(("names", "called"), [((), "class 1"), (("cat", ""), "class 1")])
def test_a_class_without_a_name_is_called_by_its_number(names, called):
    same, there = detections((A, 0.9, 1)), truth((A, 1))

    (pair,) = class_pairs([same], [same], [there], measure=AP50, names=names)

    assert pair.row.name == called


def test_a_class_that_is_found_and_never_there_is_left_out():
    found = detections((A, 0.9, 1), (B, 0.9, 0))

    (pair,) = class_pairs([found], [found], [truth((B, 0))], measure=AP50)

    assert pair.row.name == "class 0"
    assert class_pairs([found], [found], [truth()], measure=AP50) == []


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_of_a_curve_is_the_average_precision_of_its_class(seed: int):
    found, truths = scenes(30, 4, seed)
    of = hits(found, truths, AP50.rule)

    each = by_class(of, "coco")

    for one in of:
        assert 100.0 * precision_at(one).mean() == pytest.approx(each[one.number])


def test_a_curve_by_hand():
    # of four objects the first and the third detection find one each: 1/1, 1/2, 2/3
    boxes = [(20.0 * place, 0.0, 20.0 * place + 10.0, 10.0) for place in range(4)]
    found = detections((boxes[0], 0.9, 0), ((500, 500, 510, 510), 0.8, 0), (boxes[1], 0.7, 0))
    (one,) = hits([found], [truth(*((box, 0) for box in boxes))], AP50.rule)

    assert precision_at(one) == pytest.approx([1.0] * 26 + [2 / 3] * 25 + [0.0] * 50)


def test_a_class_of_which_nothing_is_found_has_a_curve_of_zeros():
    (one,) = hits([detections()], [truth((A, 0))], AP50.rule)

    assert precision_at(one).tolist() == [0.0] * 101


def test_the_curve_of_all_is_the_mean_and_only_losers_are_drawn_beside_it():
    pairs, *_ = pairs_of(classes=9)
    losers = [pair.row.name for pair in pairs if pair.row.change < 0.0]
    assert len(losers) > LOSERS  # else this says nothing

    curves = curves_section(pairs).body.drawn["curves"]

    assert [curve["name"] for curve in curves] == [ALL, *losers[:LOSERS]]
    for side, name in (("float", "float_ap50"), ("integer", "ap50")):
        mean = np.mean([getattr(pair.row, name) for pair in pairs])
        assert np.mean(curves[0][side]) == pytest.approx(mean, abs=0.01)  # two decimals, of both
        assert len(curves[0][side]) == 101


def test_two_networks_that_find_the_same_have_no_losers():
    found, truths = scenes(10, 3, 0)
    pairs = class_pairs(found, found, truths, measure=AP50)

    section = curves_section(pairs)

    assert [curve["name"] for curve in section.body.drawn["curves"]] == [ALL]
    assert "lost" not in section.hint
    assert curves_section([]) is None
