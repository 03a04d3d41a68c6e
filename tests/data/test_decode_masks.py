"""Masks on their way from an item to a batch: read with their picture, and placed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.mask_pictures import some_classes, write_mask, write_pairs
from intaglio.data.dataset import Dataset
from intaglio.data.decode import batch_labels, decode_as_array
from intaglio.data.image_samples import ImageSamples
from intaglio.data.images import batches, open_dataset
from intaglio.data.mask import IGNORED, Mask
from intaglio.data.preprocess import Preprocess
from intaglio.data.seen_mask import are_masks, seen_mask
from intaglio.data.truth import Placement
from intaglio.errors import DataError
from tasks.detect.scenes import truth

SHAPE = (1, 3, 15, 20)
FIT = Preprocess(fit="stretch")
HALF = Placement(0.5, 0.5)
"""Of a picture of 40 x 30 pixels on 20 x 15."""


def three(folder: Path) -> Dataset:
    """Return three pictures, whose masks have the classes 0 to 1, 2 and 3."""
    write_pairs(folder / "x", folder / "xannot", ["a", "b", "c"])
    for most, name in enumerate("abc", start=2):
        write_mask(folder / "xannot" / f"{name}.png", some_classes(most))
    return open_dataset(folder / "x")


def test_a_mask_is_read_and_learns_its_placement_and_the_items_own_label_stays(
    tmp_path: Path,
) -> None:
    item = three(tmp_path).items[1]
    own = item.label

    seen, label = decode_as_array(item, FIT, SHAPE)

    assert seen.shape == SHAPE[1:]
    assert isinstance(label, Mask)
    assert label.placement == HALF
    assert np.array_equal(label.classes, some_classes(3))
    assert item.label is own


def test_a_stream_and_samples_of_any_order_give_the_same_masks(tmp_path: Path) -> None:
    dataset = three(tmp_path)

    with batches(dataset, FIT, SHAPE, batch_size=2) as stream:
        found = [label for batch in stream for label in batch.labels or ()]
    taken = ImageSamples(dataset, FIT, SHAPE).take([2, 0])

    assert are_masks(found)
    for most, label in enumerate(found, start=2):
        assert np.array_equal(label.classes, some_classes(most))
    assert are_masks(taken.labels)
    for label, index in zip(taken.labels, [2, 0], strict=True):
        assert np.array_equal(label.classes, found[index].classes)
        assert label.placement == HALF


def test_of_a_picture_painted_as_its_mask_the_input_shows_the_classes_of_the_seen_mask(
    tmp_path: Path,
) -> None:
    """Each class a brightness of its own, in blocks: the middle of a block is not blurred."""
    classes = np.kron(some_classes(4, (3, 4)), np.ones((20, 20), np.uint8))
    write_mask(tmp_path / "x" / "a.png", classes * 60)
    write_mask(tmp_path / "xannot" / "a.png", classes)
    item = open_dataset(tmp_path / "x").items[0]
    shape = (1, 1, 40, 50)
    for preprocess in (
        Preprocess(fit="stretch"),
        Preprocess(fit="letterbox"),
        Preprocess(resize=50, crop=45),
    ):
        sized = (*shape[:2], 45, 45) if preprocess.crop else shape
        image, label = decode_as_array(item, preprocess, sized)

        assert isinstance(label, Mask)
        seen = seen_mask(label, sized[2:])
        windows = torch.from_numpy(seen).unfold(0, 5, 1).unfold(1, 5, 1).flatten(2).double()
        inner = (windows == windows[:, :, :1]).all(2).numpy() & (seen[2:-2, 2:-2] != IGNORED)
        assert inner.sum() > 200
        values = image[0, 2:-2, 2:-2][inner] * 255
        # blocks of 1/2 to 5/6 of their size: 2 pixels off an edge the filter sees no other block
        assert np.abs(values - seen[2:-2, 2:-2][inner] * 60.0).max() < 1


def test_labels_of_a_batch_are_masks_only_where_all_are() -> None:
    one = Mask(some_classes(), Placement())

    assert batch_labels([one, one]) == [one, one]
    for other in (None, 3, truth()):
        assert batch_labels([one, other]) is None


def test_a_damaged_mask_is_passed_over_with_its_picture_and_a_wrong_one_is_not(
    tmp_path: Path,
) -> None:
    dataset = three(tmp_path)
    broken = tmp_path / "xannot" / "b.png"
    broken.write_bytes(broken.read_bytes()[:60])

    with batches(dataset, FIT, SHAPE, batch_size=3, skip_bad=True) as stream:
        (batch,) = stream
        assert [one.name for one in stream.skipped] == ["b.jpg"]
    samples = ImageSamples(dataset, FIT, SHAPE, skip_bad=True)
    assert batch.names == ("a.jpg", "c.jpg")
    assert samples.take([2, 1]).indices == (2,)
    assert "xannot" in samples.skipped[0]

    Image.new("L", (41, 30)).save(broken)
    with pytest.raises(DataError, match=r"xannot/b\.png: the mask is 41x30 pixels, its picture"):
        samples.take([1])
