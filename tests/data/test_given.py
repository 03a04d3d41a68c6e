"""What Python users may give to train on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from intaglio.data.dataset import Dataset
from intaglio.data.given import samples_of
from intaglio.errors import DataError

SHAPE = (3, 2, 2)
IMAGES = torch.arange(60, dtype=torch.float32).reshape(5, *SHAPE)
LABELS = torch.arange(5)
DATASET = TensorDataset(IMAGES, LABELS)


class Endless(IterableDataset[torch.Tensor]):
    def __len__(self) -> int:
        return 5

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter(IMAGES)


@pytest.mark.parametrize("data", [(IMAGES, LABELS), (IMAGES, LABELS.tolist()), DATASET, [*DATASET]])
def test_all_forms_with_labels_give_the_same(data: Any) -> None:
    taken = samples_of(data, SHAPE).take([4, 1])

    assert torch.equal(taken.images, IMAGES[[4, 1]])
    assert taken.labels.tolist() == [4, 1]


def test_images_alone_have_no_labels_and_samples_are_returned_as_they_are() -> None:
    samples = samples_of(IMAGES, SHAPE)

    assert samples.take([0]).labels is None
    assert samples_of(samples, SHAPE) is samples


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DataLoader(DATASET), "data is a DataLoader, .* loader.dataset"),
        (iter([IMAGES]), "data is list_iterator, but training takes images in an order of its own"),
        ((batch for batch in [IMAGES]), "data is generator"),
        (Endless(), "data is Endless"),
        ({"images": IMAGES}, "data is dict"),
        (7, "data is int"),
        (None, "data is NoneType"),
        ("train", "data is a path .*give .images, labels."),
        (Path("train"), "data is a path"),
        (Dataset("d", Path("d"), []), "list of images of 'd'.*ImageSamples"),
        ((IMAGES, LABELS, LABELS), "data has 3 parts"),
        ((np.ones((5, *SHAPE)), np.ones(5)), "a tuple that begins with ndarray: give"),
        ([IMAGES], r"item 0 of data is \[5, 3, 2, 2\], the network takes .*\[3, 2, 2\]"),
    ],
)
def test_anything_else_is_refused_with_what_to_give(data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        samples_of(data, SHAPE)
