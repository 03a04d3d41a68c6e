"""Masks as Python users give them: forms that are taken, and those that are refused by value."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from intaglio.data.given_masks import given_mask, given_masks
from intaglio.data.mask import IGNORED, Mask
from intaglio.data.seen_mask import seen_mask
from intaglio.data.truth import Placement
from intaglio.errors import DataError

SIZE = (4, 6)
CLASSES = torch.randint(0, 5, (3, *SIZE), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "labels",
    [
        CLASSES,
        CLASSES.to(torch.uint8),
        CLASSES.to(torch.int8),
        CLASSES.numpy(),
        CLASSES.numpy().astype(np.uint16),
        list(CLASSES),
        list(CLASSES.numpy()),
        [Mask(one.numpy().astype(np.uint8)) for one in CLASSES],
        tuple(CLASSES.tolist()),
    ],
)
def test_whole_numbers_of_any_kind_are_classes_at_the_pixels_of_the_input(labels: object) -> None:
    found = given_masks(labels, 3, SIZE)

    assert [one.classes.dtype for one in found] == [np.uint8] * 3
    assert [one.placement for one in found] == [Placement()] * 3
    for one, expected in zip(found, CLASSES, strict=True):
        assert np.array_equal(one.classes, expected.numpy())
        assert np.array_equal(seen_mask(one, SIZE), expected.numpy())


def test_what_is_given_is_not_shared() -> None:
    labels = CLASSES.to(torch.uint8)

    given_masks(labels, 3, SIZE)[0].classes[:] = 77

    assert int(labels.max()) < 77


def test_truth_values_are_the_classes_0_and_1() -> None:
    (found,) = given_masks(CLASSES[:1] > 2, 1, SIZE)

    assert np.array_equal(found.classes, (CLASSES[0] > 2).numpy())


def test_a_mask_of_another_size_is_of_a_picture_stretched_onto_the_input() -> None:
    large, small = np.full((8, 3), 2, np.uint8), np.full((4, 6), IGNORED, np.uint8)

    found = given_masks([large, small], 2, SIZE)

    assert found[0].placement == Placement(2.0, 0.5)
    assert found[0].size == (8, 3)
    assert (seen_mask(found[0], SIZE) == 2).all()
    assert found[1].placement == Placement()


def test_a_mask_that_says_where_it_lies_stays_as_it_is() -> None:
    mask = Mask(np.zeros((2, 2), np.uint8), Placement(left=3.0))

    assert given_mask(mask, SIZE, "here") is mask


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "the labels of data are NoneType: give for each image"),
        ("abc", "are str: give for each image"),
        (CLASSES[0], r"are \[4, 6\], masks are \[N, H, W\]"),
        (CLASSES[:, None], r"are \[3, 1, 4, 6\], .*without an axis of channels"),
        (CLASSES[:2], "are 2 masks, but there are 3 images"),
        ([CLASSES[0]] * 4, "are 4 masks, but there are 3 images"),
        ([CLASSES[0], CLASSES[0], 3], "number 2 has a mask of int: give"),
        ([CLASSES[0], CLASSES, CLASSES[0]], r"number 1 has a mask \[3, 4, 6\]"),
        ([CLASSES[0], CLASSES[0, :0], CLASSES[0]], r"number 1 has a mask \[0, 6\]"),
        (CLASSES.float(), r"number 0 has a mask of torch\.float32: .*torch\.uint8"),
        ([[[1.5]]] * 3, r"number 0 has a mask of torch\.float64"),
        ([[["a"]]] * 3, "number 0 has a mask of no numbers"),
        ([[[1], [1, 2]]] * 3, "number 0 has a mask of no numbers"),
        ([[[2**70]]] * 3, "number 0 has"),
        (["abc"] * 3, "number 0 has a mask of str"),
        (CLASSES - 100, r"number 0 has the class -\d+ \(24 pixels are not within 0\.\.255\)"),
        (
            torch.full((3, *SIZE), 256),
            r"has the class 256 \(24 pixels .*255 for what counts",
        ),
        (np.full((3, *SIZE), 2**64 - 1, np.uint64), "has the class -1|has a mask of no numbers"),
    ],
)
def test_anything_else_is_refused_by_what_and_where(labels: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        given_masks(labels, 3, SIZE)
