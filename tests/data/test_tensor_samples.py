"""Samples of tensors: values, labels of any form, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from intaglio.data.mask import Mask
from intaglio.data.samples import Samples
from intaglio.data.tensor_samples import TensorSamples
from intaglio.data.truth import Placement
from intaglio.errors import DataError, NonFiniteError

SHAPE = (3, 4, 5)
IMAGES = torch.arange(6 * 60, dtype=torch.float32).reshape(6, *SHAPE)


def test_images_and_labels_come_in_the_order_that_is_asked_for() -> None:
    samples: Samples = TensorSamples(IMAGES, torch.arange(6, dtype=torch.int32) * 10, SHAPE)

    taken = samples.take([4, 0, 4])

    assert len(samples) == 6
    assert torch.equal(taken.images, IMAGES[[4, 0, 4]])
    assert taken.labels.dtype == torch.int64
    assert taken.labels.tolist() == [40, 0, 40]
    assert taken.indices == (4, 0, 4)
    assert list(samples.skipped) == []


def test_labels_may_be_none_several_tensors_or_a_list_of_numbers() -> None:
    boxes, kinds = torch.rand(6, 2, 4, dtype=torch.float64), torch.ones(6, 2, dtype=torch.bool)

    several = TensorSamples(IMAGES, (boxes, kinds), SHAPE).take([5, 1]).labels
    listed = TensorSamples(IMAGES, [5, 4, 3, 2, 1, 0], SHAPE).take([5, 1]).labels

    assert TensorSamples(IMAGES, None, SHAPE).take([5, 1]).labels is None
    assert isinstance(several, tuple)
    assert torch.equal(several[0], boxes[[5, 1]].float())
    assert several[1].dtype == torch.int64
    assert listed.tolist() == [0, 4]


def test_what_is_taken_can_be_written_to_without_a_change_of_the_data() -> None:
    images = IMAGES.clone()
    samples = TensorSamples(images, None, SHAPE)

    samples.take([0, 1]).images.zero_()

    assert torch.equal(images, IMAGES)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[:, :2], None, r"the network takes \[N, \(3, 4, 5\)\]"),
        (IMAGES[0], None, "the network takes"),
        (torch.tensor(1.0), None, "the network takes"),
        (IMAGES.double(), None, "float64: give float32"),
        (IMAGES[:0], None, "no images to train on"),
        (IMAGES, torch.arange(5), "6 images but 5 labels"),
        (IMAGES, (torch.arange(6), torch.arange(7)), "6 images but 7 labels"),
        (IMAGES, torch.tensor(1), "a single number for labels"),
        (IMAGES, ["cat"] * 6, "labels are list, no numbers"),
    ],
)
def test_other_data_is_refused_before_anything_is_taken(
    images: torch.Tensor, labels: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        TensorSamples(images, labels, SHAPE)


def test_an_image_with_nan_is_refused_wherever_it_is() -> None:
    images = IMAGES.repeat(400, 1, 1, 1)
    images[2000, 0, 0, 0] = float("nan")

    with pytest.raises(NonFiniteError, match="NaN or infinity, in 1 of"):
        TensorSamples(images, None, SHAPE)


def test_a_list_of_masks_of_any_sizes_is_kept_as_masks() -> None:
    given = [np.full((2, 3), n, np.uint8) if n % 2 else torch.full((8, 10), n) for n in range(6)]

    for labels in (given, [*given[:5], Mask(np.full((2, 3), 5, np.uint8))]):
        taken = TensorSamples(IMAGES, labels, SHAPE).take([5, 0])

        assert all(isinstance(one, Mask) for one in taken.labels)
        assert [one.classes.max() for one in taken.labels] == [5, 0]
        assert [one.placement for one in taken.labels] == [
            Placement(5 / 3, 2.0),
            Placement(0.5, 0.5),
        ]


def test_a_list_of_tensors_as_long_as_the_images_is_one_of_several_labels() -> None:
    several = [torch.zeros(6, 2, dtype=torch.int64), torch.zeros(6, 7, dtype=torch.int64)]

    taken = TensorSamples(IMAGES, several, SHAPE).take([0])

    assert isinstance(taken.labels, tuple)
    assert [tuple(one.shape) for one in taken.labels] == [(1, 2), (1, 7)]


def test_as_many_masks_of_the_inputs_size_as_it_is_high_are_masks() -> None:
    masks = [torch.full((4, 5), n) for n in range(4)]

    taken = TensorSamples(IMAGES[:4], masks, SHAPE).take([3])

    assert taken.labels[0].classes.tolist() == [[3] * 5] * 4


def test_too_few_masks_are_refused_by_both_counts() -> None:
    with pytest.raises(DataError, match="5 masks, but there are 6 images"):
        TensorSamples(IMAGES, [Mask(np.zeros((4, 5), np.uint8))] * 5, SHAPE)
