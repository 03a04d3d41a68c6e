"""An image and its label out of one item: boxes learn where the picture lies, indices stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data.box_files import HEIGHT, WIDTH, coco, truths, write_coco, write_picture, write_yolo
from intaglio.data.dataset import Dataset, FileSource, Item, Label, check_labels
from intaglio.data.decode import batch_labels, decode_as_array
from intaglio.data.image_samples import ImageSamples
from intaglio.data.images import batches, open_dataset
from intaglio.data.preprocess import Preprocess
from intaglio.data.samples import Taken
from intaglio.data.truth import Placement, Truth
from intaglio.errors import DataError
from tasks.detect.scenes import truth

SHAPE = (1, 3, 15, 20)
FIT = Preprocess(fit="stretch")
HALF = Placement(0.5, 0.5)
"""Of a picture of 40 x 30 pixels on 20 x 15."""


def item(folder: Path, label: Label) -> Item:
    return Item("a.png", label, FileSource(str(write_picture(folder / "a.png"))))


def yolo(folder: Path) -> Dataset:
    """Return three pictures with one box, none and two."""
    labels = {"a": "0 0.5 0.5 0.5 0.5\n", "b": "", "c": "1 0.25 0.5 0.1 0.1\n0 0.5 0.5 0.2 0.2\n"}
    return open_dataset(write_yolo(folder, labels))


def test_boxes_learn_size_and_placement_and_the_items_own_label_stays(tmp_path: Path) -> None:
    own = truth(([1, 2, 3, 4], 0))
    one = item(tmp_path, own)

    seen, label = decode_as_array(one, FIT, SHAPE)

    assert seen.shape == SHAPE[1:]
    assert isinstance(label, Truth)
    assert (label.size, label.placement) == ((HEIGHT, WIDTH), HALF)
    assert own.size is None
    assert one.label is own


@pytest.mark.parametrize("label", [3, 0, None])
def test_a_class_index_or_no_label_comes_as_it_is(tmp_path: Path, label: Label) -> None:
    assert decode_as_array(item(tmp_path, label), FIT, SHAPE)[1] is label


def test_boxes_for_a_picture_of_another_size_are_refused_by_the_files_name(tmp_path: Path) -> None:
    one = item(tmp_path, replace(truth(([1, 2, 3, 4], 0)), size=(WIDTH, HEIGHT)))

    with pytest.raises(DataError, match=r"a\.png: the picture is 40x30 pixels, its labels are for"):
        decode_as_array(one, FIT, SHAPE)


def test_another_size_is_no_bad_image_that_is_passed_over(tmp_path: Path) -> None:
    content = coco()
    content["images"][0]["width"] = WIDTH + 1
    dataset = open_dataset(write_coco(tmp_path, content))

    with (
        pytest.raises(DataError, match=r"a\.png: the picture is 40x30 pixels"),
        batches(dataset, FIT, SHAPE, batch_size=2, skip_bad=True) as stream,
    ):
        list(stream)


def test_labels_of_a_batch_are_indices_or_boxes_or_none_where_one_lacks() -> None:
    one, other = truth(([1, 2, 3, 4], 0)), truth()

    indices = batch_labels([3, 0, 2])
    assert isinstance(indices, torch.Tensor)
    assert indices.dtype == torch.int64
    assert indices.tolist() == [3, 0, 2]
    assert batch_labels([one, other]) == [one, other]
    assert batch_labels([3, None]) is None
    assert batch_labels([one, None]) is None
    assert batch_labels([None, None]) is None
    assert batch_labels([one, 3]) is None  # nothing that any task could use


def test_a_stream_gives_the_boxes_of_each_picture_in_order_with_where_it_lies(
    tmp_path: Path,
) -> None:
    dataset = yolo(tmp_path)

    with batches(dataset, FIT, SHAPE, batch_size=2) as stream:
        found = list(stream)

    assert [batch.names for batch in found] == [("a.png", "b.png"), ("c.png",)]
    labels = [label for batch in found for label in batch.labels or ()]
    assert [len(label) for label in labels] == [1, 0, 2]
    for label, (_, own) in zip(labels, truths(dataset).items(), strict=True):
        assert isinstance(label, Truth)
        assert np.array_equal(label.boxes, own.boxes)
        assert label.placement == HALF


def test_samples_of_any_order_have_the_labels_of_the_stream(tmp_path: Path) -> None:
    dataset = yolo(tmp_path)
    samples = ImageSamples(dataset, FIT, SHAPE)
    with batches(dataset, FIT, SHAPE, batch_size=3) as stream:
        (batch,) = stream

    taken = samples.take([2, 0, 1])

    assert samples.categories == dataset.categories
    assert isinstance(taken, Taken)
    assert torch.equal(taken.images, batch.images[[2, 0, 1]])
    assert isinstance(taken.labels, list)
    for found, index in zip(taken.labels, [2, 0, 1], strict=True):
        assert np.array_equal(found.boxes, batch.labels[index].boxes)
        assert found.placement == HALF


def test_of_an_unreadable_picture_its_boxes_are_left_out_as_well(tmp_path: Path) -> None:
    dataset = yolo(tmp_path)
    broken = tmp_path / "images" / "a.png"
    broken.write_bytes(broken.read_bytes()[:80])

    with batches(dataset, FIT, SHAPE, batch_size=3, skip_bad=True) as stream:
        (batch,) = stream
    taken = ImageSamples(dataset, FIT, SHAPE, skip_bad=True).take([2, 0, 1])

    assert batch.names == ("b.png", "c.png")
    assert [len(label) for label in batch.labels] == [0, 2]
    assert taken.indices == (2, 1)
    assert [len(label) for label in taken.labels] == [2, 0]


def test_a_first_picture_without_boxes_has_a_label_all_the_same(tmp_path: Path) -> None:
    dataset = open_dataset(write_yolo(tmp_path, {"a": "", "b": "0 0.5 0.5 0.1 0.1"}))

    assert dataset.labelled
    first = ImageSamples(dataset, FIT, SHAPE).take([0]).labels
    assert isinstance(first, list)
    assert len(first[0]) == 0


def test_boxes_are_no_labels_of_a_network_that_tells_classes(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path, coco()))

    with pytest.raises(DataError, match="its labels are boxes, and the network is to tell classes"):
        check_labels(dataset, 1000)
