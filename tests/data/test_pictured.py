"""Masks that bring their pictures along."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from intaglio.data.dataset import Dataset, FileSource, Item
from intaglio.data.decode import decode_as_array
from intaglio.data.mask import Mask
from intaglio.data.mask_files import MaskFile
from intaglio.data.pictured import with_pictures
from intaglio.data.preprocess import Preprocess

SHAPE = (1, 3, 4, 4)


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(np.full((6, 8), 3, np.uint8)).save(tmp_path / "mask.png")
    item = Item("a.png", MaskFile(str(tmp_path / "mask.png")), FileSource(str(tmp_path / "a.png")))
    return Dataset("set", tmp_path, [item])


def mask_of(dataset: Dataset) -> Mask:
    _, label = decode_as_array(dataset.items[0], Preprocess(fit="stretch"), SHAPE)
    assert isinstance(label, Mask)
    return label


def test_a_mask_comes_without_its_picture_unless_it_is_asked_for(dataset):
    assert mask_of(dataset).picture is None


def test_the_picture_is_that_of_the_file_pixel_for_pixel(dataset):
    plain, found = mask_of(dataset), mask_of(with_pictures(dataset))

    wanted = np.asarray(Image.open(str(dataset.items[0].source)))
    assert np.array_equal(found.picture, wanted)
    assert np.array_equal(found.classes, plain.classes)
    assert found.placement == plain.placement


def test_labels_that_are_no_masks_stay_as_they_are(dataset):
    item = Item("a.png", 3, dataset.items[0].source)

    found = with_pictures(Dataset("set", dataset.path, [item]))

    assert list(found.items) == [item]
