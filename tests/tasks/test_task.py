"""Which task a network has, and that one from outside is asked like those that come along."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from intaglio.data.dataset import Dataset, FileSource, Item
from intaglio.data.mask import Mask
from intaglio.errors import DataError, RequestError, UnknownName
from intaglio.report.figures import PLAIN, Wording, percentage
from intaglio.tasks import CLASSIFY, SEGMENT, TASKS, VALUES, labelled_task_for, task_for
from intaglio.tasks.classify import Classify
from intaglio.tasks.task import stated_name, wording_of

SCORES, MAP, TWO = [(-1, 10)], [(-1, 4, 8, 8)], [(-1, 10), (-1, 10)]
INDICES = torch.tensor([1, 2])


@pytest.mark.parametrize(
    ("outputs", "labels", "task"),
    [
        (SCORES, None, CLASSIFY),
        (SCORES, INDICES, CLASSIFY),
        (SCORES, [1, 2], CLASSIFY),
        (SCORES, torch.zeros(2, 10), VALUES),  # targets, no class indices
        (MAP, None, VALUES),
        (MAP, torch.zeros(2, 4, 8, 8), VALUES),
        (TWO, None, VALUES),
        (TWO, (torch.zeros(2, 10), torch.zeros(2, 10)), VALUES),
    ],
)
def test_a_network_has_the_first_task_that_its_outputs_and_labels_fit(outputs, labels, task):
    assert task_for(outputs, labels) is task


@pytest.mark.parametrize("outputs", [MAP, TWO])
def test_class_indices_for_other_values_are_refused_with_what_either_task_needs(outputs):
    with pytest.raises(DataError, match=r"one output \[N, classes\].*targets of their own shapes"):
        task_for(outputs, INDICES)


def test_labels_of_a_wrong_type_are_refused_with_the_type():
    with pytest.raises(DataError, match=r"torch\.float32: give class indices"):
        task_for(SCORES, torch.tensor([1.0, 2.0]))


def test_a_task_that_is_named_wins():
    assert task_for(SCORES, name="values") is VALUES


def test_a_named_task_that_does_not_fit_is_refused_with_the_reason():
    with pytest.raises(RequestError, match=r"task 'classify': .*\[-1, 4, 8, 8\]"):
        task_for(MAP, name="classify")
    with pytest.raises(UnknownName, match="classify"):
        task_for(MAP, name="clasify")


def test_images_with_labels_are_for_classifiers_alone():
    assert labelled_task_for(SCORES) is CLASSIFY
    for shapes in (MAP, TWO):  # a map may be of anything, until masks say that it is of classes
        with pytest.raises(RequestError, match=r"accuracy needs a classifier .*: leave --eval"):
            labelled_task_for(shapes)


def test_masks_tell_that_a_map_is_one_of_classes():
    masks = [Mask(np.zeros((8, 8), np.uint8))]

    assert task_for(MAP, masks) is SEGMENT
    assert task_for(MAP, torch.zeros(1, 8, 8, dtype=torch.int64)) is SEGMENT
    assert task_for([(-1, 8, 8)], torch.zeros(1, 8, 8)) is VALUES


def test_labels_of_a_data_set_are_checked_without_opening_an_image():
    items = [Item(f"{label}.png", label, FileSource("nowhere")) for label in (3, 0, 9)]
    dataset = Dataset("d", Path("d"), items)

    assert CLASSIFY.labels(dataset, SCORES) == [3, 0, 9]
    assert VALUES.labels(dataset, MAP) == [None] * 3
    with pytest.raises(DataError, match=r"class index 9 of '9\.png'"):
        CLASSIFY.labels(dataset, [(-1, 9)])


@dataclass(frozen=True)
class Signs(Classify):
    """A task from outside: two outputs of scores; the first one counts."""

    name: str = "signs"
    rank: int = 50

    def misfit(self, outputs, labels):
        """Return why there are not two outputs."""
        return None if len(outputs) == 2 else "signs have two outputs"


@pytest.fixture
def signs() -> Iterator[Signs]:
    task = Signs(wording=Wording({"hits": percentage("Hits")}))
    TASKS.register("signs")(task)
    yield task
    del TASKS._entries["signs"]


def test_a_task_from_outside_is_asked_before_the_one_that_fits_all(signs):
    assert task_for(TWO) is signs
    assert task_for(SCORES) is CLASSIFY
    assert task_for(MAP) is VALUES
    assert task_for(TWO, name="values") is VALUES


def test_every_task_but_the_usual_one_is_stated_and_found_again_by_its_name(signs):
    assert stated_name(CLASSIFY) is None
    assert stated_name(signs) == "signs"
    assert wording_of(None) is CLASSIFY.wording
    assert wording_of("signs") is signs.wording


@pytest.mark.parametrize("stated", ["detect-2", 3, ["values"]])
def test_a_task_that_is_not_installed_is_told_by_keys(stated):
    assert wording_of(stated) is PLAIN


def test_every_task_is_filed_under_its_own_name():
    assert all(TASKS[name].name == name for name in TASKS)
    assert len({TASKS[name].rank for name in TASKS}) == len(list(TASKS))


def test_a_task_is_plain_data():
    assert replace(CLASSIFY) == CLASSIFY
    assert replace(VALUES) == VALUES
