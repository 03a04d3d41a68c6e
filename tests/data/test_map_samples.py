"""Samples of a user's own data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from intaglio.data.map_samples import MapSamples
from intaglio.data.mask import Mask
from intaglio.data.truth import Placement
from intaglio.errors import DataError, NonFiniteError

SHAPE = (1, 2, 2)


def image(value: float) -> Tensor:
    return torch.full(SHAPE, float(value))


def with_labels(labels: Sequence[Any]) -> list[tuple[Tensor, Any]]:
    return [(image(index), label) for index, label in enumerate(labels)]


@pytest.mark.parametrize(
    "labels", [[3, 1, 2], np.array([3, 1, 2]), torch.tensor([3, 1, 2], dtype=torch.uint8)]
)
def test_items_become_batches_with_class_indices(labels: Any) -> None:
    samples = MapSamples(with_labels(labels), SHAPE)

    taken = samples.take([2, 0])

    assert len(samples) == 3
    assert samples.name == "list"
    assert torch.equal(taken.images, torch.stack([image(2), image(0)]))
    assert taken.labels.dtype == torch.int64
    assert taken.labels.tolist() == [2, 3]
    assert taken.indices == (2, 0)


def test_labels_may_be_missing_real_or_several() -> None:
    alone = MapSamples([image(0), image(1)], SHAPE).take([1, 0])
    real = MapSamples(with_labels([0.5, 1.5]), SHAPE).take([1, 0])
    several = MapSamples(with_labels([(1, torch.ones(4)), (2, torch.zeros(4))]), SHAPE).take([1, 0])

    assert alone.labels is None
    assert real.labels.tolist() == [1.5, 0.5]
    assert several.labels[0].tolist() == [2, 1]
    assert torch.equal(several.labels[1], torch.stack([torch.zeros(4), torch.ones(4)]))


def test_a_tensor_dataset_of_pytorch_is_one() -> None:
    images = torch.rand(5, *SHAPE)

    taken = MapSamples(TensorDataset(images, torch.arange(5)), SHAPE).take([3, 3])

    assert torch.equal(taken.images, images[[3, 3]])
    assert taken.labels.tolist() == [3, 3]


def test_taking_nothing_gives_no_images() -> None:
    assert MapSamples(with_labels([1]), SHAPE).take([]).images.shape == (0, *SHAPE)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "data has a length of 0"),
        (with_labels([1, "cat"]), "labels are str, no numbers"),
        (with_labels([1, None]), "item 1 of data has no label"),
        (with_labels([1, 1.5]), r"label of item 1 of data is torch\.float32"),
        (with_labels([torch.ones(2), torch.ones(3)]), r"item 1 .*\[3\], that of item 0 .*\[2\]"),
        (with_labels([(1, 2), 3]), "have different parts"),
        ([image(0), torch.ones(2, *SHAPE)], r"item 1 of data is \[2, 1, 2, 2\], the network takes"),
        (
            [image(0), np.ones(SHAPE)],
            "item 1 of data is ndarray, the network takes a float32 tensor",
        ),
        ([image(0), image(0).half()], "item 1 of data is torch.float16: give float32"),
        ([(image(0), 1, 2)], "item 0 of data has 3 parts"),
    ],
)
def test_other_items_are_refused_by_index(items: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        MapSamples(items, SHAPE).take([0, 1])


def test_the_first_item_is_looked_at_before_training() -> None:
    with pytest.raises(NonFiniteError, match="NaN or infinity"):
        MapSamples([image(float("inf")), image(0)], SHAPE)


def test_what_a_data_set_raises_is_told_with_the_item() -> None:
    class Broken(list[Tensor]):
        def __getitem__(self, index: Any) -> Any:
            if index == 1:
                raise KeyError("no such\nfile")
            return super().__getitem__(index)

    samples = MapSamples(Broken([image(0), image(1)]), SHAPE)

    with pytest.raises(DataError, match="item 1 of data cannot be read: KeyError: 'no such"):
        samples.take([0, 1])


def test_masks_of_any_sizes_are_kept_as_masks_over_the_input() -> None:
    masks = [np.array([[0, 1]], np.uint8), torch.tensor([[2], [255]]), Mask(np.eye(2, dtype="u1"))]

    taken = MapSamples(with_labels(masks), SHAPE).take([2, 0, 1])

    assert all(isinstance(one, Mask) for one in taken.labels)
    assert [one.classes.tolist() for one in taken.labels] == [
        [[1, 0], [0, 1]],
        [[0, 1]],
        [[2], [255]],
    ]
    assert [one.placement for one in taken.labels] == [
        Placement(),
        Placement(1.0, 2.0),
        Placement(2.0, 1.0),
    ]


def test_maps_of_one_size_stay_one_tensor() -> None:
    taken = MapSamples(with_labels([torch.zeros(2, 2, dtype=torch.int64)] * 2), SHAPE).take([0, 1])

    assert taken.labels.shape == (2, 2, 2)


def test_a_mask_beside_what_is_none_is_refused_by_its_item() -> None:
    with pytest.raises(DataError, match=r"item 1 of data has a mask of int"):
        MapSamples(with_labels([Mask(np.zeros((2, 2), np.uint8)), 3]), SHAPE).take([0, 1])
