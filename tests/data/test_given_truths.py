"""Boxes as Python users give them, in tensors and in data sets of the map style."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from intaglio.data.given import samples_of
from intaglio.data.given_truths import given_truth, is_given_truth
from intaglio.data.part import Unlabelled, apart
from intaglio.data.truth import Placement, Truth
from intaglio.errors import DataError

SHAPE = (3, 8, 10)


def entries(count):
    """One box more in each image; none in the first."""
    return [
        {"boxes": torch.full((n, 4), 1.0) * torch.tensor([0, 0, 4, 5]), "labels": torch.arange(n)}
        for n in range(count)
    ]


class Mapped:
    """A data set of the map style."""

    def __init__(self, labels):
        self.labels = labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return torch.full(SHAPE, float(index)), self.labels[index]


def test_a_dict_is_a_truth_in_the_networks_input():
    found = given_truth({"boxes": [[1, 2, 3, 4]], "labels": [7]}, (8, 10), "label 0")

    assert isinstance(found, Truth)
    assert found.boxes.tolist() == [[1, 2, 3, 4]]
    assert found.classes.tolist() == [7]
    assert found.areas.tolist() == [4]
    assert found.size == (8, 10)
    assert found.placement == Placement()
    assert given_truth(found, (1, 1), "label 0") is found


@pytest.mark.parametrize(
    "entry",
    [
        {"boxes": [[1, 2, 3, 4]], "labels": []},
        {"boxes": [[3, 2, 1, 4]], "labels": [0]},
        {"boxes": [[1, 2, 3, float("nan")]], "labels": [0]},
        {"boxes": "none", "labels": [0]},
        {"boxes": []},
        {"boxes": [[1, 2, 3]], "labels": [0]},
        {"boxes": torch.zeros(2, 2), "labels": [0]},  # as many numbers as a box has
        {"boxes": [1, 2, 3, 4], "labels": [0]},
        {"boxes": [[1, 2, 3, 4]], "labels": [-1]},
        {"boxes": [[1, 2, 3, 4]], "labels": [0.5]},
        {"boxes": [[1, 2, 3, 4]], "labels": [float("nan")]},
        {"boxes": [[1, 2, 3, 4]], "labels": ["cat"]},
        {"boxes": [[1, 2, 3, 4]], "labels": [2**70]},
        {"boxes": [[1, 2, 3, 4]], "labels": [0], "iscrowd": [0, 1]},
        {"boxes": [[1, 2, 3, 4]], "labels": [0], "area": [4.0, 5.0]},
        {"boxes": [[1, 2, 3, 4]], "labels": [0], "area": [float("inf")]},
        {"boxes": torch.tensor([[0, 0, 1e300, 1]], dtype=torch.float64), "labels": [0]},
        {"boxes": torch.zeros(1, 4, dtype=torch.complex64), "labels": [0]},
        5,
    ],
)
def test_what_is_no_boxes_is_refused_with_its_place(entry):
    with pytest.raises(DataError, match="label 3 of data"):
        given_truth(entry, (8, 10), "label 3 of data")


def test_what_is_meant_as_boxes_is_told_by_its_form():
    assert is_given_truth({"boxes": [], "labels": [], "image_id": 3})
    assert not is_given_truth({"labels": []})
    assert not is_given_truth(torch.zeros(3))


@pytest.mark.parametrize("form", ["tensors", "map"])
def test_samples_give_the_boxes_of_the_images_that_are_taken(form):
    images = torch.arange(5.0)[:, None, None, None].expand(5, *SHAPE)
    data = (images, entries(5)) if form == "tensors" else Mapped(entries(5))

    samples = samples_of(data, SHAPE)
    taken = samples.take([4, 0, 2])

    assert [len(truth) for truth in taken.labels] == [4, 0, 2]
    assert taken.images[:, 0, 0, 0].tolist() == [4, 0, 2]
    assert all(isinstance(truth, Truth) for truth in taken.labels)
    assert taken.labels[0].size == (8, 10)


def test_parts_and_samples_without_labels_are_made_of_them_as_of_any():
    samples = samples_of(Mapped(entries(10)), SHAPE)

    left, drawn = apart(samples, 3, seed=1)

    together = [
        len(truth) for part in (left, drawn) for truth in part.take(range(len(part))).labels
    ]
    assert sorted(together) == list(range(10))
    assert Unlabelled(samples).take([1, 2]).labels is None


def test_as_many_entries_as_images_are_needed():
    with pytest.raises(DataError, match="5 images, but the boxes of 4"):
        samples_of((torch.zeros(5, *SHAPE), entries(4)), SHAPE)


def test_an_image_without_boxes_beside_others_is_named():
    with pytest.raises(DataError, match="item 1 of data"):
        samples_of(Mapped([entries(2)[1], np.int64(3)]), SHAPE).take([0, 1])
