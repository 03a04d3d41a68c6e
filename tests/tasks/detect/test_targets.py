"""Images and boxes as Python users give them to evaluate on, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from intaglio.data.batches import BATCH_SIZE
from intaglio.data.truth import Placement, Truth
from intaglio.errors import DataError
from intaglio.tasks.detect.targets import box_batches, truth_of
from tasks.detect.scenes import truth

SHAPE = (3, 8, 10)
ONE = {"boxes": torch.tensor([[1.0, 2, 3, 4]]), "labels": torch.tensor([2])}
NOTHING = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}


def images(count: int) -> torch.Tensor:
    return torch.arange(float(count)).reshape(-1, 1, 1, 1).expand(count, *SHAPE)


def test_one_pair_is_cut_into_batches_each_with_its_own_boxes():
    count = BATCH_SIZE + 3
    boxes = [ONE if n % 2 else NOTHING for n in range(count)]

    found = list(box_batches((images(count), boxes), SHAPE))

    assert [len(batch) for batch, _ in found] == [BATCH_SIZE, 3]
    seen = torch.cat([batch for batch, _ in found])
    assert seen[:, 0, 0, 0].tolist() == list(range(count))
    counts = [len(one) for _, truths in found for one in truths]
    assert counts == [n % 2 for n in range(count)]


def test_batches_come_one_by_one_from_any_iterable():
    asked = []

    def loader():
        for number in range(3):
            asked.append(number)
            yield images(2), [ONE, NOTHING]

    made = box_batches(loader(), SHAPE)

    batch, truths = next(made)
    assert asked == [0]
    assert batch.shape == (2, *SHAPE)
    assert [len(one) for one in truths] == [1, 0]
    assert len(list(made)) == 2


def test_a_dict_becomes_a_truth_of_the_networks_input():
    found = truth_of(ONE | {"iscrowd": [1], "area": [3.5]}, (8, 10), "batch 0")

    assert found.boxes.tolist() == [[1, 2, 3, 4]]
    assert found.classes.tolist() == [2]
    assert found.crowd.tolist() == [True]
    assert found.areas.tolist() == [3.5]
    assert (found.size, found.placement) == ((8, 10), Placement())
    assert (found.boxes.dtype, found.classes.dtype, found.areas.dtype) == (
        np.float32,
        np.int64,
        np.float64,
    )


def test_a_truth_is_taken_as_it_is():
    own = truth(([1, 2, 3, 4], 0), size=(400, 500))

    ((_, (found,)),) = box_batches([(images(1), [own])], SHAPE)

    assert found is own
    assert isinstance(found, Truth)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (images(2), "evaluate is Tensor"),
        ((images(2), torch.tensor(3)), "evaluate has 2 images and other labels than boxes"),
        ([images(2)], "batch 0 of evaluate has no boxes"),
        ((images(2), [ONE]), "evaluate has 2 images and other labels than boxes"),
        ((images(2), torch.tensor([0, 1])), "evaluate has 2 images and other labels than boxes"),
        ([(images(2), [ONE])], "batch 0 of evaluate has 2 images"),
        ([(images(1), [ONE]), (images(1), torch.tensor([3]))], "batch 1 of evaluate has 1 images"),
        ([(images(1), [[1, 2, 3, 4]])], "batch 0 of evaluate holds list"),
        ([(images(1), [{"boxes": [[1, 2, 3, 4]]}])], "batch 0 of evaluate holds dict"),
        ([(images(1), [ONE | {"labels": [1, 2]}])], "batch 0 of evaluate has 1 boxes, 2 labels"),
        ([(images(1), [ONE | {"boxes": [[3, 2, 1, 4]]}])], "ends before it begins"),
        (7, "evaluate is int"),
    ],
)
def test_what_is_no_boxes_is_refused_with_its_place_and_the_form(data, said):
    with pytest.raises(DataError, match=said) as caught:
        list(box_batches(data, SHAPE))

    assert "give for each image a dict with 'boxes' [n, 4]" in str(caught.value)
