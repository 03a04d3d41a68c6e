"""What Python users give to evaluate a segmenter on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from intaglio.data.truth import Placement
from intaglio.errors import DataError
from intaglio.tasks.segment.targets import are_labels, mask_batches, masks_of
from tasks.segment.maps_made import blobs, mask

SHAPE = (3, 8, 8)
IMAGES = torch.zeros(2, *SHAPE)


def test_images_and_masks_are_cut_into_batches():
    images, masks = torch.zeros(20, *SHAPE), torch.zeros(20, 8, 8, dtype=torch.uint8)

    batches = list(mask_batches((images, masks), SHAPE))

    assert [(len(i), len(m)) for i, m in batches] == [(16, 16), (4, 4)]
    assert batches[0][1][0].placement == Placement()


def test_batches_may_come_one_by_one_with_masks_of_any_size():
    given = [(IMAGES, [blobs(8, 8, 3), mask(blobs(8, 8, 3))]), (IMAGES[:1], [blobs(4, 16, 3)])]

    (_, first), (_, second) = mask_batches(given, SHAPE)

    assert len(first) == 2
    assert second[0].placement == Placement(0.5, 2.0)  # stretched onto the input


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ([IMAGES], "batch 0 of evaluate has no masks"),
        ([(IMAGES, None)], "batch 0 of evaluate has no masks"),
        ((IMAGES, torch.zeros(1, 8, 8).long()), "has 2 images and other labels than masks"),
        ([(IMAGES, torch.zeros(1, 8, 8).long())], "are 1 masks, but there are 2 images"),
        ([(IMAGES, torch.zeros(2, 8, 8))], r"torch.float32"),
        ([(IMAGES, torch.full((2, 8, 8), 300))], "has the class 300"),
        (3, "evaluate is int"),
        (IMAGES, "evaluate is Tensor"),
    ],
)
def test_what_is_no_pair_of_images_and_masks_is_refused(data, wanted):
    with pytest.raises(DataError, match=wanted):
        list(mask_batches(data, SHAPE))


def test_labels_are_masks_or_whole_numbers_of_pixels():
    assert are_labels([mask([[0]])])
    assert are_labels(torch.zeros(2, 8, 8, dtype=torch.uint8))
    assert not are_labels(torch.zeros(2, 8, 8))
    assert not are_labels(torch.zeros(2, dtype=torch.int64))
    assert are_labels([blobs(8, 8, 3), torch.zeros(4, 5, dtype=torch.int64)])
    assert are_labels(blobs(8, 8, 3)[None])
    assert not are_labels([blobs(8, 8, 3).astype("float32")])
    assert not are_labels([blobs(8, 8, 3), 1])
    assert not are_labels(None)


def test_the_image_without_a_mask_is_named():
    some = mask(blobs(8, 8, 3))

    with pytest.raises(DataError, match=r"2 images and 1 masks, image 1 of the batch .* has none"):
        masks_of([some], 2, (8, 8))
    with pytest.raises(DataError, match=r"image 1 .* has NoneType, no mask"):
        masks_of([some, None], 2, (8, 8))
    with pytest.raises(DataError, match=r"the labels of a batch are nothing"):
        masks_of(None, 2, (8, 8))
    with pytest.raises(DataError, match=r"are a tensor \[2\] of torch.int64"):
        masks_of(torch.zeros(2, dtype=torch.int64), 2, (8, 8))


def test_a_mask_keeps_its_own_placement():
    placed = mask(np.zeros((4, 4)), Placement(2.0, 2.0, 1.0, 0.0))

    assert masks_of([placed], 1, (8, 8))[0].placement == placed.placement
