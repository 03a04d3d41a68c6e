"""masks.json: what it says is read, and what it says wrongly is refused by file and value."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.box_files import write_text
from data.mask_pictures import names, read_all, some_classes, write_description, write_mask
from intaglio.data.dataset import Dataset
from intaglio.data.mask import IGNORED
from intaglio.data.mask_description import described_masks, is_mask_description
from intaglio.data.mask_folder import open_masks
from intaglio.data.truth import Category
from intaglio.errors import DataError


def test_a_description_gives_folders_names_and_what_is_ignored(tmp_path: Path) -> None:
    path = write_description(tmp_path / "masks.json", classes=["sky", "road"], ignore=[2])

    dataset = open_masks(described_masks(path))

    assert names(dataset) == ["a.jpg", "b.jpg"]
    assert dataset.categories == (Category(0, "sky"), Category(1, "road"))
    read, classes = read_all(dataset)["a.jpg"], some_classes(3)
    assert np.array_equal(read, np.where(classes == 2, IGNORED, classes))


def test_names_and_what_is_ignored_may_be_left_out(tmp_path: Path) -> None:
    found = described_masks(write_description(tmp_path / "masks.json"))

    assert (found.names, found.ignore, found.stems) == ((), (), None)


def test_a_file_is_a_description_by_its_name_and_by_not_being_cocos(tmp_path: Path) -> None:
    yes = [write_description(tmp_path / name) for name in ("masks.json", "Val-Masks.json")]
    broken = write_text(tmp_path / "x" / "masks.json", "{")
    no = [
        write_description(tmp_path / "instances.json"),
        write_description(tmp_path / "coco_masks.json", annotations=[]),
        write_text(tmp_path / "no_masks.json", "{"),
        write_text(tmp_path / "list_masks.json", "[]"),
        tmp_path / "nowhere" / "masks.json",
        tmp_path,
    ]

    assert all(map(is_mask_description, [*yes, broken]))
    assert not any(map(is_mask_description, no))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"images": ""}, "images is None: give a folder"),
        ({"masks": 3}, "masks is 3: give a folder"),
        ({"masks": "nowhere"}, r"masks is 'nowhere', but there is no folder .*nowhere"),
        ({"masks": "nul\0nul"}, "there is no folder"),
        (
            {"labels": "x"},
            "'labels' is not known; known are images, masks, classes, ignore, values",
        ),
        ({"classes": "sky"}, "classes is 'sky': give a list of names"),
        ({"classes": ["sky", " "]}, "classes is .*give a list of names"),
        ({"classes": ["sky", "sky"]}, "the class 'sky' is there twice"),
        ({"classes": [str(n) for n in range(300)]}, "it names 300 classes"),
        ({"ignore": 11}, "ignore is 11: give a list of whole numbers"),
        ({"ignore": [True]}, r"ignore is \[True\]"),
        ({"ignore": [-1]}, r"ignore is \[-1\]"),
        ({"ignore": [256]}, r"ignore is \[256\]"),
        ({"ignore": [1.0]}, r"ignore is \[1\.0\]"),
    ],
)
def test_a_wrong_part_is_refused_by_its_value(
    tmp_path: Path, parts: dict[str, object], message: str
) -> None:
    path = write_description(tmp_path / "masks.json", **parts)

    with pytest.raises(DataError, match=rf"masks\.json: .*{message}"):
        described_masks(path)


@pytest.mark.parametrize("text", ["", "{", "[" * 10**5, "[]", "3", "\ud800"])
def test_what_is_no_object_of_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "masks.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))

    with pytest.raises(DataError, match=r"masks\.json: (cannot be read|it holds no object)"):
        described_masks(path)


def test_a_description_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = write_description(tmp_path / "masks.json")
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content), encoding="utf-8-sig")

    assert described_masks(path).images.name == "val"


def test_masks_may_hold_another_number_for_each_class(tmp_path: Path) -> None:
    parts = {"classes": ["ground", "red", "sky"], "values": [7, 255, 0], "ignore": [9]}
    path = write_description(tmp_path / "masks.json", **parts)
    stored = np.array([7, 255, 0, 9], np.uint8)[some_classes(4)]
    write_mask(tmp_path / "valannot" / "a.png", stored)

    dataset = open_masks(described_masks(path))

    expected = np.array([0, 1, 2, IGNORED], np.uint8)[some_classes(4)]
    assert dataset.items[0].name == "a.jpg"
    assert np.array_equal(read_all(open_first(dataset))["a.jpg"], expected)


def test_of_0_and_255_both_are_classes_where_values_say_so_and_names_may_be_left_out(
    tmp_path: Path,
) -> None:
    path = write_description(tmp_path / "masks.json", values=[0, 255])
    write_mask(tmp_path / "valannot" / "a.png", 255 * some_classes(2))

    dataset = open_masks(described_masks(path))

    assert dataset.categories == ()
    assert np.array_equal(read_all(open_first(dataset))["a.jpg"], some_classes(2))


def test_a_number_that_is_of_no_class_is_refused_by_file_number_and_pixels(tmp_path: Path) -> None:
    path = write_description(tmp_path / "masks.json", values=[0, 128])
    stored = np.zeros(some_classes().shape, np.uint8)
    stored[0, :3], stored[1, 0], stored[2, 0] = 127, 128, IGNORED
    write_mask(tmp_path / "valannot" / "a.png", stored)

    message = r"a\.png: the mask holds 127 \(3 pixels\), and the values of its classes are 0, 128"
    with pytest.raises(DataError, match=message):
        read_all(open_first(open_masks(described_masks(path))))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"values": [0, 256]}, r"values is \[0, 256\]: give a list of whole numbers, 0 to 255"),
        ({"values": "0,255"}, "values is '0,255'"),
        ({"values": [0, 1, 0]}, "values has 0 twice"),
        ({"values": [0, 1], "ignore": [1]}, "1 is in values and in ignore"),
        ({"values": [0, 1], "classes": ["a"]}, "values has 2 numbers, and there are 1 classes"),
        ({"values": list(range(256))}, "values has 256 classes; there are 255 at most"),
    ],
)
def test_values_that_say_nothing_clear_are_refused(
    tmp_path: Path, parts: dict[str, object], message: str
) -> None:
    path = write_description(tmp_path / "masks.json", **parts)

    with pytest.raises(DataError, match=message):
        described_masks(path)


def open_first(dataset: Dataset) -> Dataset:
    """Return the data set with its first picture alone."""
    return replace(dataset, items=dataset.items[:1])
