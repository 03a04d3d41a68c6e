"""The task of detectors: what fits it, which labels it takes, and what its figures come to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from data.box_files import coco, write_coco
from intaglio.boxes import anchors, families
from intaglio.boxes.heads import per_level
from intaglio.boxes.postprocess import PostProcess
from intaglio.data.dataset import Dataset, FileSource, Item
from intaglio.data.images import open_dataset
from intaglio.data.truth import Category, Placement, Truth
from intaglio.errors import DataError, NonFiniteError, RequestError
from intaglio.tasks import DETECT, TASKS, compare, evaluate, task_for
from intaglio.tasks.detect.detect import Detect
from tasks.detect.scenes import truth

SIDE, CELLS, KINDS = 64, 8, 3
FITTING = [(-1, 4, CELLS, CELLS), (-1, KINDS, CELLS, CELLS)]
SQUARE = 16.0


def post_of(kinds: int = KINDS) -> PostProcess:
    """Return a RetinaNet of one map and one square anchor a cell: boxes first, then scores."""
    places = anchors.anchor_grids((SIDE, SIDE), [(CELLS, CELLS)], sizes=[[SQUARE]], ratios=(1.0,))
    return families.retinanet((SIDE, SIDE), places, classes=kinds, heads=per_level(1))


TASK = Detect(post_of())


def seen(*found: tuple[int, int, int, float], pictures: int = 1) -> list[Tensor]:
    """Return outputs in which anchors stand at cells (picture, cell, kind, logit), unmoved."""
    scores = torch.full((pictures, KINDS, CELLS, CELLS), -20.0)
    for picture, cell, kind, logit in found:
        scores[picture, kind, cell // CELLS, cell % CELLS] = logit
    return [torch.zeros(pictures, 4, CELLS, CELLS), scores]


def square_at(cell: int) -> list[float]:
    """Return the box of an anchor: its middle is a cell's corner, by torchvision's anchors."""
    found = TASK.read(seen((0, cell, 0, 5.0)))[0].boxes
    assert len(found) == 1
    return found[0].tolist()


def placed(*rows: tuple[list[float], int]) -> Truth:
    return replace(truth(*rows, size=(SIDE, SIDE)), placement=Placement())


def test_the_task_is_in_the_table_and_fits_nothing_without_post_processing():
    assert TASKS["detect"] is DETECT
    assert DETECT.misfit(FITTING, None) is not None
    with pytest.raises(RequestError, match="it is not: give a detector of the zoo"):
        task_for(FITTING, name="detect")


def test_outputs_that_post_processing_reads_must_be_there():
    assert TASK.misfit(FITTING, None) is None
    assert "from 2 outputs, and the network has 1" in TASK.misfit(FITTING[:1], None)


def test_labels_are_a_list_of_truths():
    assert TASK.misfit(FITTING, [placed()]) is None
    assert "the labels are Tensor, no boxes" in TASK.misfit(FITTING, torch.tensor([1]))
    assert "the labels are list, no boxes" in TASK.misfit(FITTING, [{"boxes": []}])


def test_the_networks_own_task_goes_before_any_other():
    assert task_for(FITTING, own=TASK) is TASK


def test_a_network_that_finds_what_is_there_has_an_ap_of_100():
    labels = [placed((square_at(20), 1)), placed((square_at(50), 2), (square_at(12), 0))]
    outputs = seen((0, 20, 1, 3.0), (1, 50, 2, 2.0), (1, 12, 0, 4.0), pictures=2)

    found = evaluate(lambda images: outputs, [(torch.zeros(2, 3, SIDE, SIDE), labels)], TASK)

    assert next(iter(found)) == "ap"
    assert found["ap"] == pytest.approx(100.0)
    assert found["n"] == 2


def test_classes_are_those_of_the_data_set_by_name():
    named = replace(post_of(), names=("cat", "dog", "cup"))
    task = Detect(named, (Category(7, "cup"), Category(9, "cat")))
    outputs = seen((0, 20, 2, 3.0), (0, 50, 1, 9.0))  # a cup, and a dog, which nobody asks for

    batches = [(torch.zeros(1, 3, SIDE, SIDE), [placed((square_at(20), 0))])]
    found = evaluate(lambda images: outputs, batches, task)

    assert found["ap"] == pytest.approx(100.0)


def test_two_networks_that_find_the_same_agree_wholly():
    outputs = seen((0, 20, 1, 3.0))
    batches = [(torch.zeros(1, 3, SIDE, SIDE), [placed((square_at(20), 1))])]

    def network(images: Tensor) -> list[Tensor]:
        return outputs

    found = compare(network, network, batches, TASK, names=["boxes", "scores"])

    assert found.judgement.agreement.parts == 100.0
    assert found.judgement.labelled.points == 0.0


def test_labels_of_a_data_set_are_its_boxes_or_refused(tmp_path: Path):
    dataset = open_dataset(write_coco(tmp_path, coco()))
    two = Detect(post_of(2), dataset.categories)
    plain = Dataset("x", Path("x"), [Item("a", 3, FileSource("a"))])

    assert [len(label) for label in two.labels(dataset, FITTING)] == [1]
    with pytest.raises(DataError, match="3 classes apart and the labels have 2 categories"):
        TASK.labels(dataset, FITTING)
    with pytest.raises(DataError, match=r"x: the labels are no boxes: give a COCO \.json"):
        TASK.labels(plain, FITTING)


@pytest.mark.parametrize("place", [0, 1])
def test_nan_is_refused_and_an_infinite_box_is_left_out(place):
    outputs = seen((0, 20, 1, 3.0))
    labels = [placed((square_at(20), 1))]
    outputs[place][0, 0, 0, 0] = float("nan")

    with pytest.raises(NonFiniteError, match="gives NaN"):
        TASK.check(outputs, labels)

    outputs = seen((0, 20, 1, 3.0))
    outputs[0][0, 0] = float("inf")
    TASK.check(outputs, labels)
    assert len(TASK.read(outputs)[0]) == 0


@pytest.mark.parametrize(
    "labels", [None, torch.tensor([1]), [], [placed(), placed()], [{"boxes": [], "labels": []}]]
)
def test_an_image_without_boxes_beside_it_is_refused(labels):
    with pytest.raises(DataError, match="have no boxes: give those of each image"):
        TASK.check(seen(), labels)


def test_a_class_beyond_the_networks_is_refused_with_how_many_there_are():
    with pytest.raises(DataError, match=r"class 3 of a box is out of range: there are 3 \(0..2\)"):
        TASK.check(seen(), [placed((square_at(20), 3))])
    one = replace(TASK, categories=(Category(0, "a"),))
    with pytest.raises(DataError, match=r"class 1 .* there are 1 \(0..0\)"):
        one.check(seen(), [placed((square_at(20), 1))])


def test_a_picture_without_any_box_is_fine():
    TASK.check(seen(), [placed()])


def test_batches_take_dicts_and_give_truths():
    data = (torch.zeros(1, 3, SIDE, SIDE), [{"boxes": [square_at(20)], "labels": [1]}])

    ((images, labels),) = TASK.batches(data, (3, SIDE, SIDE))

    assert images.shape == (1, 3, SIDE, SIDE)
    assert np.array_equal(labels[0].classes, [1])


def test_smoothing_is_refused_with_the_way_on():
    with pytest.raises(RequestError, match="train with smoothing = 0"):
        TASK.loss(seen(), [placed()], smoothing=0.1)


def test_the_distance_of_outputs_to_themselves_is_nothing():
    outputs = seen((0, 20, 1, 3.0))

    assert float(TASK.distance(outputs, outputs)) == 0.0
    assert float(TASK.distance(seen(), outputs)) > 0.0
