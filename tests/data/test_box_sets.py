"""The door to sets of boxes: what is one, what is none, and that the guard stands before it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from data.box_files import (
    coco,
    truths,
    voc_object,
    write_coco,
    write_picture,
    write_text,
    write_voc,
    write_yolo,
)
from intaglio.data.box_sets import box_categories, box_set
from intaglio.data.dataset import check_labels, draw
from intaglio.data.guard import forbid_images
from intaglio.data.images import open_dataset, require_labels
from intaglio.data.labels import class_names
from intaglio.errors import DataError, IntaglioError, RequestError


def a_coco_file(folder: Path) -> Path:
    return write_coco(folder, coco([(4, 6, 10, 12)]))


def a_voc_folder(folder: Path) -> Path:
    return write_voc(folder, {"a": voc_object("dog", (5, 7, 14, 18))})


def a_yolo_folder(folder: Path) -> Path:
    return write_yolo(folder, {"a": "0 0.225 0.4 0.25 0.4\n"})


FORMS = [a_coco_file, a_voc_folder, a_yolo_folder]
Write = Callable[[Path], Path]


@pytest.mark.parametrize("write", FORMS)
def test_one_box_is_the_same_in_all_forms(tmp_path: Path, write: Write) -> None:
    path = write(tmp_path / "set")

    dataset = box_set(path)

    assert dataset is not None
    assert dataset.path == path
    assert list(truths(dataset)) == ["a.png"]
    truth = truths(dataset)["a.png"]
    # shares are decimal fractions: float32 has 2**-19 pixels a step below 32
    assert truth.boxes.tolist() == [pytest.approx([4, 6, 14, 18], abs=2**-19)]
    assert truth.areas.tolist() == [pytest.approx(120)]
    assert truth.size == (30, 40)
    assert dataset.categories == box_categories(path)
    assert class_names(path) == [category.name for category in dataset.categories]
    with dataset.items[0].source.open() as file:
        assert file.read(4) == b"\x89PNG"


def test_the_boxes_of_the_data_pack_are_the_same_when_written_in_yolos_form(
    data_pack: Path, tmp_path: Path
) -> None:
    dataset = open_dataset(data_pack / "coco128" / "instances.json")
    (tmp_path / "images").symlink_to(data_pack / "coco128" / "images")
    for name, truth in truths(dataset).items():
        assert truth.size is not None
        height, width = truth.size
        lines = [
            f"{index} {(x + right) / 2 / width} {(y + bottom) / 2 / height}"
            f" {(right - x) / width} {(bottom - y) / height}"
            for index, (x, y, right, bottom) in zip(
                truth.classes.tolist(), truth.boxes.tolist(), strict=True
            )
        ]
        write_text(tmp_path / "labels" / Path(name).with_suffix(".txt"), "\n".join(lines))

    again = truths(open_dataset(tmp_path))

    assert len(again) == 128
    for name, truth in truths(dataset).items():
        assert again[name].size == truth.size  # here of the picture's header
        assert again[name].classes.tolist() == truth.classes.tolist()
        # shares are rounded in float64, so float32 may round to its neighbour, 2**-14 away
        assert again[name].boxes == pytest.approx(truth.boxes, abs=2**-14)


@pytest.mark.parametrize("write", FORMS)
def test_a_set_of_boxes_is_labelled_drawn_from_and_kept_from_classifiers(
    tmp_path: Path, write: Write
) -> None:
    dataset = open_dataset(write(tmp_path / "set"), need_labels=True)

    assert require_labels(dataset) is dataset
    assert draw(dataset, 1, seed=0).categories == dataset.categories
    with pytest.raises(DataError, match="its labels are boxes"):
        check_labels(dataset, 1000)


@pytest.mark.parametrize("write", FORMS)
def test_while_images_are_forbidden_no_set_of_boxes_is_opened(tmp_path: Path, write: Write) -> None:
    path = write(tmp_path / "set")

    with forbid_images():
        for use in (box_set, box_categories):
            with pytest.raises(IntaglioError, match="without data tried to read") as caught:
                use(path)
            assert not isinstance(caught.value, RequestError)


def test_what_is_no_set_of_boxes_is_left_to_the_other_forms(tmp_path: Path) -> None:
    write_picture(tmp_path / "folder" / "cat" / "a.png")
    write_picture(tmp_path / "JPEGImages" / "a.png")
    others = [
        tmp_path,
        tmp_path / "folder",
        tmp_path / "nowhere",
        tmp_path / "nowhere.json",
        tmp_path / "data.yaml:train",
        tmp_path / ("x" * 5000),
        tmp_path / "with\0nul.json",
        Path("."),
        Path("/"),
        write_text(tmp_path / "list.csv", "file\n"),
        write_text(tmp_path / "shard.tar", ""),
        write_text(tmp_path / "classes.txt", "cat\n"),
    ]

    for path in others:
        assert box_set(path) is None
        assert box_categories(path) is None


def test_a_path_that_is_no_data_set_is_told_all_forms(tmp_path: Path) -> None:
    path = write_text(tmp_path / "notes.md", "")

    with pytest.raises(DataError, match=r"not a data set; .*COCO \.json, .*VOC .*data\.yaml"):
        open_dataset(path)
