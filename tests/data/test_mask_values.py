"""Masks of 0 and 255 alone: refused with the description that mends them, and nothing else is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from data.box_files import write_picture, write_text
from data.mask_pictures import SIZE, read_all, write_mask
from intaglio.data import mask_values
from intaglio.data.images import open_dataset
from intaglio.errors import DataError

STEMS = ("a", "b", "c")


def object_of(number: int, beside: int = 0) -> NDArray[np.uint8]:
    """Return a mask of `beside` with a square of `number`."""
    numbers = np.full(SIZE, beside, np.uint8)
    numbers[3:8, 4:9] = number
    return numbers


def write_set(
    images: Path, masks: Path, numbers: int = 255, first: NDArray[np.uint8] | None = None
) -> None:
    """Write three pictures with masks of 0 and a number; `first` is the mask of the first."""
    for stem in STEMS:
        write_picture(images / f"{stem}.jpg")
        write_mask(masks / f"{stem}.png", object_of(numbers))
    if first is not None:
        write_mask(masks / "a.png", first)


def beside(folder: Path) -> Path:
    write_set(folder / "x", folder / "xannot")
    return folder / "x"


def inside(folder: Path) -> Path:
    write_set(folder / "images", folder / "masks")
    return folder


def of_voc(folder: Path) -> Path:
    write_set(folder / "JPEGImages", folder / "SegmentationClass")
    return folder


def described(folder: Path) -> Path:
    write_set(folder / "deep" / "pictures", folder / "drawn")
    content = {"images": "deep/pictures", "masks": "drawn", "ignore": [7]}
    return write_text(folder / "masks.json", json.dumps(content))


def written(message: str) -> Path:
    """Do what a message says: write the description; return its path."""
    told = re.search(r"write (\{.*?\}) into (\S+) and name that file", message)
    assert told is not None, message
    return write_text(Path(told[2]), told[1])


@pytest.mark.parametrize("write", [beside, inside, of_voc, described])
def test_masks_of_0_and_255_alone_are_refused_and_what_is_told_to_be_written_mends_them(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    path = write(tmp_path / "set")

    with pytest.raises(DataError, match=r"3 masks in .* hold 0 and 255 alone") as caught:
        open_dataset(path)

    found = read_all(open_dataset(written(str(caught.value))))
    assert sorted(found) == ["a.jpg", "b.jpg", "c.jpg"]
    for classes in found.values():
        assert np.array_equal(classes, object_of(1))


def test_a_relative_path_is_mended_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside(tmp_path)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(DataError) as caught:
        open_dataset("x")

    assert written(str(caught.value)) == tmp_path / "x-masks.json"
    assert len(open_dataset("x-masks.json")) == len(STEMS)


def test_a_description_is_told_with_the_names_and_the_ignored_numbers_that_it_has(
    tmp_path: Path,
) -> None:
    write_set(tmp_path / "images", tmp_path / "masks", first=object_of(255, beside=7))
    content = {"images": "images", "masks": "masks", "classes": ["ground", "cell"], "ignore": [7]}
    path = write_text(tmp_path / "masks.json", json.dumps(content))

    with pytest.raises(DataError) as caught:
        open_dataset(path)

    assert json.loads(written(str(caught.value)).read_text()) == content | {"values": [0, 255]}
    assert open_dataset(path).categories[1].name == "cell"


def test_names_of_two_classes_do_not_hide_that_the_second_is_lost(tmp_path: Path) -> None:
    write_text(inside(tmp_path) / "classes.txt", "ground\ncell\n")

    with pytest.raises(DataError, match='"classes": \\["ground", "cell"\\]'):
        open_dataset(tmp_path)


def test_of_a_list_the_masks_are_to_be_saved_anew_as_a_description_knows_no_list(
    tmp_path: Path,
) -> None:
    path = of_voc(tmp_path) / "ImageSets" / "Segmentation" / "val.txt"
    write_text(path, "a\nb\n")

    with pytest.raises(DataError, match=r"2 masks in .*; save the masks with 1 in place") as caught:
        open_dataset(path)

    assert "masks.json" not in str(caught.value)


@pytest.mark.parametrize(
    ("numbers", "first"),
    [
        (255, object_of(1)),
        (255, object_of(254)),
        (0, None),  # no object anywhere, and none is lost
        (1, None),
        (1, object_of(255)),
    ],
)
def test_a_set_in_which_one_mask_holds_a_class_or_none_holds_255_is_opened(
    tmp_path: Path, numbers: int, first: NDArray[np.uint8] | None
) -> None:
    write_set(tmp_path / "images", tmp_path / "masks", numbers, first)

    assert len(open_dataset(tmp_path)) == len(STEMS)


def test_who_says_that_255_counts_for_nothing_is_believed(tmp_path: Path) -> None:
    write_set(tmp_path / "images", tmp_path / "masks")
    content = {"images": "images", "masks": "masks", "ignore": [255]}

    dataset = open_dataset(write_text(tmp_path / "masks.json", json.dumps(content)))

    assert np.array_equal(read_all(dataset)["a.jpg"], object_of(255))


def test_a_mask_that_cannot_be_read_is_left_to_its_turn(tmp_path: Path) -> None:
    write_set(tmp_path / "images", tmp_path / "masks", numbers=2)
    (tmp_path / "masks" / "a.png").write_bytes(b"no image")

    assert len(open_dataset(tmp_path)) == len(STEMS)


def test_of_a_large_set_masks_spread_over_it_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mask_values, "MOST_LOOKED_AT", 2)
    write_set(tmp_path / "images", tmp_path / "masks")
    write_mask(tmp_path / "masks" / "b.png", object_of(1))

    with pytest.raises(DataError, match="2 masks that were looked at"):
        open_dataset(tmp_path)

    write_mask(tmp_path / "masks" / "c.png", object_of(1))
    assert len(open_dataset(tmp_path)) == len(STEMS)
