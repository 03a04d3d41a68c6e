"""Labels that are boxes go through the loop's feed and its measurements as any others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from intaglio.data.samples import Taken
from intaglio.data.truth import Placement, Truth
from intaglio.errors import RequestError
from intaglio.methods.learn.feed import fed_from
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.learn.processes import ALONE
from intaglio.methods.learn.sharded import whole_batches
from intaglio.methods.learn.step import moved
from methods.learn.test_feed import OneOfTwo
from methods.learn.tiny import TensorSamples, images_and_labels

SIDE = 16
ALL = TrainOptions(batch=7, flip=True, crop=3, cut=0.4, shrink=2.0, colour=0.2, seed=3)


def truth_of(number):
    """Of picture `number`: as many boxes, the first of them as wide as its number says."""
    low = np.arange(number, dtype=np.float32)
    boxes = np.stack([low, low, low + number, low + 3], axis=1)
    areas = np.full(number, 3.0 * number)
    flags = np.zeros(number, np.bool_)
    return Truth(boxes, np.full(number, number), flags, areas, (SIDE, SIDE), Placement())


class Boxed:
    """Ten pictures with their boxes; the sixth cannot be read where `loses`."""

    name, skipped = "boxed", ()

    def __init__(self, loses=False):
        self.loses = loses
        generator = torch.Generator().manual_seed(0)
        self.images = torch.rand(10, 1, SIDE, SIDE, generator=generator)

    def __len__(self):
        return 10

    def take(self, indices):
        left = [index for index in indices if not (self.loses and index == 5)]
        return Taken(self.images[left], [truth_of(index) for index in left], tuple(left))


def fed(options, processes=ALONE, samples=None):
    return list(fed_from(samples or Boxed(), options, processes, step=0, total=3))


def test_boxes_that_nothing_is_done_to_are_those_of_the_images():
    for part in fed(TrainOptions(batch=4)):
        assert [len(truth) for truth in part.own.labels] == list(part.own.indices)
        for truth, index in zip(part.own.labels, part.own.indices, strict=True):
            wanted = truth_of(index)
            # what reaches beyond the picture is cut off, or left out: nothing here does but in the
            # last pictures
            if index < 6:
                assert np.array_equal(truth.boxes, wanted.boxes)


def test_two_processes_see_the_boxes_that_one_would_have_seen():
    whole = fed(ALL)
    halves = [fed(ALL, OneOfTwo(rank)) for rank in (0, 1)]

    for one, *both in zip(whole, *halves, strict=True):
        assert torch.equal(torch.cat([half.own.images for half in both]), one.own.images)
        together = [truth for half in both for truth in half.own.labels]
        for truth, wanted in zip(together, one.own.labels, strict=True):
            assert np.array_equal(truth.boxes, wanted.boxes)
            assert np.array_equal(truth.classes, wanted.classes)


def test_an_image_beside_one_that_cannot_be_read_is_changed_as_ever():
    whole, less = fed(ALL), fed(ALL, samples=Boxed(loses=True))

    for one, part in zip(whole, less, strict=True):
        wanted = {
            index: truth for index, truth in zip(one.own.indices, one.own.labels, strict=True)
        }
        assert 5 not in part.own.indices
        for index, truth in zip(part.own.indices, part.own.labels, strict=True):
            assert np.array_equal(truth.boxes, wanted[index].boxes)


def test_images_with_boxes_are_not_mixed():
    with pytest.raises(RequestError, match=r"mixup = 0\.2"):
        fed(TrainOptions(batch=4, mixup=0.2))


@pytest.mark.parametrize("options", [TrainOptions(cut=0.5), TrainOptions(shrink=2.0)])
def test_parts_are_not_cut_out_of_images_without_boxes(options):
    samples = TensorSamples(*images_and_labels(20))
    with pytest.raises(RequestError, match="for images with boxes"):
        fed(options, samples=samples)


def test_images_without_boxes_may_have_other_colours():
    samples = TensorSamples(*images_and_labels(20))

    (found, *_), (plain, *_) = (
        fed(TrainOptions(batch=4, colour=strength), samples=samples) for strength in (0.3, 0.0)
    )

    assert not torch.equal(found.own.images, plain.own.images)
    assert torch.equal(found.own.labels, plain.own.labels)


def test_measured_batches_come_with_their_boxes_in_order():
    samples = Boxed(loses=True)

    batches = list(
        whole_batches(
            lambda images: [images.flatten(1)], samples,
            indices=[6, 5, 0, 3, 9], processes=ALONE, batch=3,
        )
    )  # fmt: skip

    assert [[len(truth) for truth in labels] for _, labels in batches] == [[6, 0], [3, 9]]
    for _, labels in batches:
        for truth in labels:
            wanted = truth_of(len(truth))
            assert np.array_equal(truth.boxes, wanted.boxes)
            assert (truth.size, truth.placement) == (wanted.size, wanted.placement)


def test_boxes_go_to_a_device_as_they_are():
    truths = [truth_of(3), replace(truth_of(2), placement=None)]

    assert moved(truths, "cpu") == truths
