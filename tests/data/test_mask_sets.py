"""The door to sets of masks: what is one, when boxes are meant, and what stays what it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.box_files import (
    coco,
    voc_object,
    write_coco,
    write_picture,
    write_text,
    write_voc,
    write_yolo,
)
from data.mask_pictures import (
    SIZE,
    read_all,
    some_classes,
    write_description,
    write_mask,
    write_pairs,
    write_voc_masks,
)
from intaglio.data.dataset import check_labels, draw
from intaglio.data.guard import forbid_images
from intaglio.data.images import open_dataset, require_labels
from intaglio.data.mask import UnreadMask
from intaglio.data.mask_sets import mask_categories, mask_set
from intaglio.data.truth import Category, Truth
from intaglio.errors import DataError, IntaglioError, RequestError


def beside(folder: Path) -> Path:
    write_pairs(folder / "x", folder / "xannot")
    return folder / "x"


def inside(folder: Path) -> Path:
    write_pairs(folder / "images", folder / "masks")
    return folder


def described(folder: Path) -> Path:
    return write_description(folder / "masks.json")


def listed(folder: Path) -> Path:
    return write_voc_masks(folder) / "ImageSets" / "Segmentation" / "val.txt"


def a_coco_file(folder: Path) -> Path:
    outline = [[0, 0, 9, 0, 9, 9, 0, 9]]
    content = coco([(4, 6, 10, 12)])
    content["annotations"][0]["segmentation"] = outline
    return write_coco(folder, content)


def a_voc_folder(folder: Path) -> Path:
    root = write_voc(folder, {"a": voc_object("dog", (5, 7, 14, 18))})
    write_mask(root / "SegmentationClass" / "a.png")
    return root


FORMS = [beside, inside, described, listed, write_voc_masks]
BOTH = [a_coco_file, a_voc_folder]
Write = Callable[[Path], Path]


@pytest.mark.parametrize("write", FORMS)
def test_one_mask_is_the_same_in_all_forms(tmp_path: Path, write: Write) -> None:
    path = write(tmp_path / "set")

    dataset = open_dataset(path, need_labels=True)

    assert np.array_equal(read_all(dataset)["a.jpg"], some_classes())
    assert dataset.path == path
    assert require_labels(dataset) is dataset
    assert mask_categories(path) == dataset.categories == ()
    assert isinstance(draw(dataset, 1, seed=0).items[0].label, UnreadMask)


@pytest.mark.parametrize("write", FORMS)
def test_masks_are_no_labels_of_a_network_that_tells_classes(tmp_path: Path, write: Write) -> None:
    with pytest.raises(DataError, match=r"its labels are masks, .*--task segment"):
        check_labels(open_dataset(write(tmp_path / "set")), 1000)


@pytest.mark.parametrize("write", BOTH)
def test_a_set_of_both_is_one_of_boxes_but_where_masks_are_wanted(
    tmp_path: Path, write: Write
) -> None:
    path = write(tmp_path / "set")

    assert mask_set(path) is None
    assert mask_categories(path) is None
    for labels in (None, "boxes"):
        assert isinstance(open_dataset(path, labels=labels).items[0].label, Truth)  # type: ignore[arg-type]
    dataset = open_dataset(path, labels="masks")
    assert isinstance(dataset.items[0].label, UnreadMask)
    assert mask_categories(path, wanted=True) == dataset.categories
    assert dataset.items[0].label.read(SIZE, "a.png").shape == SIZE


def test_a_list_of_voc_is_one_of_masks_by_its_folder_but_where_boxes_are_wanted(
    tmp_path: Path,
) -> None:
    root = a_voc_folder(tmp_path / "set")
    masks = write_text(root / "ImageSets" / "Segmentation" / "val.txt", "a\n")
    boxes = write_text(root / "ImageSets" / "Main" / "val.txt", "a\n")

    assert isinstance(open_dataset(masks).items[0].label, UnreadMask)
    assert isinstance(open_dataset(masks, labels="boxes").items[0].label, Truth)
    assert isinstance(open_dataset(boxes).items[0].label, Truth)
    assert isinstance(open_dataset(boxes, labels="masks").items[0].label, UnreadMask)


def test_what_has_no_masks_is_opened_as_what_it_is(tmp_path: Path) -> None:
    write_picture(tmp_path / "classes" / "images" / "a.png")
    write_picture(tmp_path / "classes" / "cat" / "a.png")
    write_yolo(tmp_path / "yolo", {"a": "0 0.225 0.4 0.25 0.4\n"})
    write_picture(tmp_path / "plain" / "a.png")

    for wanted in (None, "boxes", "masks"):
        labels = [
            open_dataset(tmp_path / name, labels=wanted).items[0].label  # type: ignore[arg-type]
            for name in ("classes", "yolo", "plain")
        ]
        assert labels[0] == 0
        assert isinstance(labels[1], Truth)
        assert labels[2] is None


def test_yolo_with_masks_in_a_further_folder_stays_one_of_boxes(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"a": "0 0.225 0.4 0.25 0.4\n"})
    write_mask(tmp_path / "masks" / "a.png")

    assert isinstance(open_dataset(tmp_path).items[0].label, Truth)
    assert isinstance(open_dataset(tmp_path, labels="masks").items[0].label, UnreadMask)


def test_a_class_folder_may_be_called_masks(tmp_path: Path) -> None:
    for name in ("images/a.jpg", "masks/b.jpg"):
        write_picture(tmp_path / name)

    assert [item.label for item in open_dataset(tmp_path).items] == [0, 1]


def test_names_of_classes_are_categories_and_of_coco_the_background_is_first(
    tmp_path: Path,
) -> None:
    path = write_description(tmp_path / "masks.json", classes=["sky", "road", "car"])

    assert mask_categories(path) == open_dataset(path).categories
    assert open_dataset(path).categories == tuple(
        Category(index, name) for index, name in enumerate(("sky", "road", "car"))
    )
    found = open_dataset(a_coco_file(tmp_path / "coco"), labels="masks").categories
    assert [one.name for one in found] == ["background", "dog", "cup"]


@pytest.mark.parametrize("write", [*FORMS, *BOTH])
def test_while_images_are_forbidden_no_set_of_masks_is_opened(tmp_path: Path, write: Write) -> None:
    path = write(tmp_path / "set")

    with forbid_images():
        for use in (mask_set, mask_categories):
            with pytest.raises(IntaglioError, match="without data tried to read") as caught:
                use(path, wanted=True)
            assert not isinstance(caught.value, RequestError)


def test_what_is_no_set_of_masks_is_left_to_the_other_forms(tmp_path: Path) -> None:
    write_picture(tmp_path / "folder" / "cat" / "a.png")
    others = [
        tmp_path,
        tmp_path / "folder",
        tmp_path / "nowhere",
        tmp_path / "masks.json",
        tmp_path / ("x" * 5000),
        tmp_path / "with\0nul",
        Path("."),
        Path("/"),
        write_text(tmp_path / "list.csv", "file\n"),
        write_text(tmp_path / "list.txt", "a\n"),
    ]

    for path in others:
        for wanted in (False, True):
            assert mask_set(path, wanted=wanted) is None
            assert mask_categories(path, wanted=wanted) is None


def test_a_path_that_is_no_data_set_is_told_the_forms_of_masks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not a data set; .*of masks, .*Xannot.*masks\.json"):
        open_dataset(write_text(tmp_path / "notes.md", ""))
