"""Whole detectors side by side: figures in closed form, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from intaglio.data.truth import Placement
from intaglio.errors import DataError
from intaglio.tasks.detect.whole import Asked, compare_wholes, detected
from tasks.detect.scenes import truth

SIDES = (60, 80)
Found = dict[str, Tensor]


def pictures(count: int) -> list[Tensor]:
    """Return pictures [3, 60, 80] whose first value is their number."""
    made = torch.zeros(count, 3, *SIDES)
    made[:, 0, 0, 0] = torch.arange(count)
    return list(made)


def found(*rows: tuple[Sequence[float], int, float]) -> Found:
    """Return what a detector says, by rows (box, label, score), in their order."""
    return {
        "boxes": torch.tensor([row[0] for row in rows]).reshape(-1, 4),
        "labels": torch.tensor([row[1] for row in rows], dtype=torch.int64),
        "scores": torch.tensor([row[2] for row in rows]).reshape(-1),
    }


def detector(*by_number: Found) -> Callable[[Any], list[Found]]:
    """Return a detector that finds these in pictures of these numbers."""
    return lambda given: [by_number[int(one[0, 0, 0])] for one in given]


A, B, C = (0.0, 0.0, 40.0, 40.0), (10.0, 20.0, 30.0, 50.0), (45.0, 5.0, 75.0, 55.0)
BOTH = detector(found((A, 1, 0.9), (B, 2, 0.8)), found((C, 1, 0.7)))
ONE = detector(found((A, 1, 0.9)), found((C, 1, 0.7)))
LABELS = [{"boxes": [A, B], "labels": [1, 2]}, {"boxes": [C], "labels": [1]}]
PAIR = (pictures(2), LABELS)


def test_a_detector_beside_itself_finds_all_the_same_and_all_that_is_there():
    compared = compare_wholes(BOTH, BOTH, [PAIR], Asked())

    assert compared.figures == compared.float_figures
    assert compared.figures["ap"] == pytest.approx(100.0)
    assert compared.judgement.n == 2
    assert compared.judgement.agreement.same == 2.0
    assert compared.judgement.agreement.parts == 100.0
    assert compared.judgement.labelled.points == 0.0


def test_a_lost_box_costs_its_class_its_average_precision_and_its_picture_half():
    compared = compare_wholes(BOTH, ONE, [PAIR], Asked())

    # class 1 is found wholly, class 2 not at all
    assert compared.float_figures["ap"] == pytest.approx(100.0)
    assert compared.figures["ap"] == pytest.approx(50.0)
    assert compared.judgement.labelled.points == pytest.approx(50.0)
    assert compared.judgement.agreement.by_image.tolist() == [0.5, 1.0]
    assert compared.judgement.agreement.parts == pytest.approx(200 / 3)  # 2 of 3 boxes


@pytest.mark.parametrize(
    "batches",
    [
        [PAIR],
        PAIR,
        (torch.stack(pictures(2)), LABELS),
        [(pictures(2)[:1], LABELS[:1]), (pictures(2)[1:], LABELS[1:])],
        [(tuple(pictures(2)), tuple(LABELS))],  # as a collate_fn may leave them
        iter([PAIR]),
    ],
    ids=["batches", "one pair", "one tensor", "one by one", "tuples", "once"],
)
def test_pictures_may_come_in_any_form_that_detectors_take(batches):
    compared = compare_wholes(BOTH, ONE, batches, Asked())

    assert compared.judgement.n == 2
    assert compared.figures["ap"] == pytest.approx(50.0)


def test_progress_is_told_of_each_batch():
    told: list[int] = []

    compare_wholes(BOTH, ONE, [PAIR, PAIR], Asked(seen=told.append))

    assert told == [2, 2]


def test_boxes_of_classes_that_the_data_set_lacks_count_for_nothing():
    other = detector(found((A, 1, 0.9), (B, 5, 0.99)), found((C, 1, 0.7)))
    classes = np.array([-1, 0, 1, -1, -1, -1])
    labels = [{"boxes": [A, B], "labels": [0, 1]}, {"boxes": [C], "labels": [0]}]

    compared = compare_wholes(BOTH, other, [(pictures(2), labels)], Asked(classes))

    assert compared.float_figures["ap"] == pytest.approx(100.0)
    assert compared.figures["ap"] == pytest.approx(50.0)  # no false one, though it is surest


def test_a_truth_is_compared_where_its_picture_lies():
    own = replace(truth((A, 1)), placement=Placement(0.5, 0.5, 10.0, 20.0))
    seen = detector(found(((10.0, 20.0, 30.0, 40.0), 1, 0.9)))

    compared = compare_wholes(seen, seen, [(pictures(1), [own])], Asked())

    assert compared.figures["ap"] == pytest.approx(100.0)


def test_boxes_come_the_surest_first_and_equal_ones_in_their_order():
    given = found((A, 1, 0.3), (B, 2, 0.8), (C, 3, 0.3))

    (one,) = detected(lambda _: (given,), pictures(1))

    assert one.classes.tolist() == [2, 1, 3]
    assert one.scores.dtype == one.boxes.dtype == np.float32
    assert one.classes.dtype == np.int64


def test_boxes_that_are_not_finite_are_left_out():
    bad = (0.0, 0.0, float("inf"), 9.0)
    given = found((bad, 1, 0.9), (A, 1, 0.8), (B, 1, float("nan")))

    (one,) = detected(lambda _: [given], pictures(1))

    assert one.boxes.tolist() == [list(A)]


def test_nothing_found_is_an_answer():
    (one,) = detected(lambda _: [found()], pictures(1))

    assert len(one) == 0
    assert one.boxes.shape == (0, 4)


def test_a_detector_computes_without_gradients():
    weight = torch.ones(4, requires_grad=True)

    detected(lambda given: [found((A, 1, 0.5)) | {"boxes": weight[None] * 3}], pictures(1))

    def with_gradient(given: Any) -> list[Found]:
        assert not torch.is_grad_enabled()
        return [found()]

    detected(with_gradient, pictures(1))


@pytest.mark.parametrize(
    "returned",
    [
        torch.zeros(1, 6),
        {"boxes": torch.zeros(0, 4)},
        [torch.zeros(1, 6)],
        [{"boxes": torch.zeros(1, 4), "labels": torch.zeros(1)}],
        [found((A, 1, 0.5)) | {"labels": torch.zeros(2)}],
        [found((A, 1, 0.5)) | {"boxes": torch.zeros(4)}],
        [found((A, 1, 0.5)) | {"boxes": torch.zeros(1, 5)}],
        [found((A, 1, 0.5)) | {"scores": [0.5]}],
        None,
    ],
)
def test_what_is_no_list_of_boxes_is_refused(returned):
    with pytest.raises(DataError, match="returns no list of dicts with 'boxes'"):
        detected(lambda _: returned, pictures(1))


@pytest.mark.parametrize(
    ("batches", "said"),
    [
        ([], "there are no images to evaluate on"),
        ([pictures(2)], "batch 0 of evaluate has no boxes"),
        ([torch.stack(pictures(2))], "batch 0 of evaluate has no boxes"),
        (torch.stack(pictures(2)), "batch 0 of evaluate has no boxes"),
        ([PAIR, (pictures(2), LABELS[:1])], "batch 1 of evaluate has 2 pictures"),
        ((pictures(2), LABELS[:1]), "evaluate has 2 pictures"),
        ([(pictures(2), torch.tensor([1, 0]))], "batch 0 of evaluate has 2 pictures"),
        ([(pictures(2), [3, 4])], "batch 0 of evaluate holds int"),
        ([({"x": 1}, LABELS[:1])], "batch 0 of evaluate has dict for pictures"),
    ],
)
def test_what_is_no_pictures_with_their_boxes_is_refused_by_its_batch(batches, said):
    with pytest.raises(DataError, match=said):
        compare_wholes(BOTH, BOTH, batches, Asked())


def test_a_detector_that_answers_for_fewer_pictures_is_refused():
    with pytest.raises(DataError, match="outputs are of 1 pictures, the labels of 2"):
        compare_wholes(lambda _: [found()], BOTH, [PAIR], Asked())


def test_the_page_shows_names_and_colours_as_the_pictures_had_them():
    asked = Asked(names=["", "cup", "dog"], preprocess={"mean": [0.5], "std": [0.5]})

    compared = compare_wholes(BOTH, ONE, [PAIR], asked)
    plain = compare_wholes(BOTH, ONE, [PAIR], Asked())

    scenes, others = (one.shown.sections[-1].body.scenes for one in (compared, plain))
    assert scenes[0].jpeg != others[0].jpeg
    assert [row.name for row in compared.shown.detection.per_class] == [
        "dog",
        "cup",
    ]  # which lost most is first
    assert any("cup" in mark.text for view in scenes[0].views for mark in view.marks)
