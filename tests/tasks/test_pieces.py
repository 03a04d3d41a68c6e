"""Batches cut up for an evaluation."""

from __future__ import annotations

import pytest
import torch

from intaglio.data.batches import BATCH_SIZE
from intaglio.tasks.pieces import VALUES_AT_ONCE, images_at_once, in_pieces

IMAGES = torch.arange(10.0).reshape(10, 1, 1, 1)
LARGE = [(-1, 1, 1000, VALUES_AT_ONCE // 3000)]
"""Of outputs of which three fit at once."""


def cut(images, labels, outputs=LARGE) -> list:
    return list(in_pieces([(images, labels)], outputs))


def test_outputs_of_classifiers_and_detectors_leave_batches_as_they_are():
    for shapes in ([(1, 1000)], [(1, 6300, 85)], [(1, 2, 256, 256)], [(1,)], []):
        assert images_at_once(shapes) == BATCH_SIZE


def test_maps_of_21_classes_at_513_pixels_are_looked_at_one_by_one():
    assert images_at_once([(1, 21, 513, 513)]) == 1
    assert images_at_once([(1, 21, 1025, 2049)]) == 1  # however large
    assert images_at_once([(1, 21, 257, 257)]) == 7
    assert images_at_once([(1, 21, 257, 257), (1, 21, 257, 257)]) == 3  # of all outputs together


def test_a_batch_that_is_small_enough_is_passed_on_itself():
    ((images, labels),) = cut(IMAGES, IMAGES, [(1, 10)])

    assert images is IMAGES
    assert labels is IMAGES


@pytest.mark.parametrize(
    "labels",
    [torch.arange(10), [f"picture {k}" for k in range(10)], torch.arange(40).reshape(10, 2, 2)],
)
def test_labels_stay_beside_their_images(labels):
    found = cut(IMAGES, labels)

    assert [len(images) for images, _ in found] == [3, 3, 3, 1]
    assert torch.equal(torch.cat([images for images, _ in found]), IMAGES)
    assert all(len(images) == len(part) for images, part in found)
    flat = [entry for _, part in found for entry in part]
    assert all(
        bool((one == other).all()) if isinstance(one, torch.Tensor) else one == other
        for one, other in zip(flat, labels, strict=True)
    )


def test_no_labels_stay_none():
    assert [labels for _, labels in cut(IMAGES, None)] == [None] * 4


def test_targets_are_cut_output_by_output():
    targets = IMAGES.flatten(), -IMAGES.flatten()

    found = cut(IMAGES, targets)

    for place in range(2):
        assert torch.equal(torch.cat([labels[place] for _, labels in found]), targets[place])


@pytest.mark.parametrize(
    "labels", [torch.arange(9), ["a"] * 11, (torch.zeros(9),), torch.tensor(1), "no labels"]
)
def test_labels_that_are_not_one_for_each_image_are_left_to_the_task(labels):
    ((images, given),) = cut(IMAGES, labels)

    assert images is IMAGES
    assert given is labels


def test_batches_are_read_one_after_the_other():
    taken = []

    def batches():
        for number in range(3):
            taken.append(number)
            yield IMAGES, None

    next(in_pieces(batches(), LARGE))

    assert taken == [0]
