"""Boxes in the form of COCO."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data.box_files import Change, coco, edges, only_truth, truths, write_coco, write_picture
from intaglio.data.images import open_dataset
from intaglio.data.labels import class_names
from intaglio.errors import DataError


def broken(folder: Path, change: Change) -> str:
    """Return what is said of a COCO file after a change."""
    content = coco()
    change(content)
    with pytest.raises(DataError) as caught:
        open_dataset(write_coco(folder, content))
    return str(caught.value)


def test_a_box_is_left_top_width_height_and_categories_are_indices_by_rising_id(
    tmp_path: Path,
) -> None:
    path = write_coco(tmp_path, coco([(1, 2, 3, 4), (0.5, 0, 1.25, 30)]))

    dataset = open_dataset(path)

    assert edges(dataset) == {"a.png": [[1, 2, 4, 6], [0.5, 0, 1.75, 30]]}
    assert [(one.number, one.name) for one in dataset.categories] == [(18, "dog"), (90, "cup")]
    assert only_truth(dataset).classes.tolist() == [1, 1]
    assert only_truth(dataset).size == (30, 40)
    assert class_names(path) == ["dog", "cup"]
    assert dataset.notes == ()


def test_the_data_pack_is_read_as_a_plain_loop_over_its_file_says(data_pack: Path) -> None:
    path = data_pack / "coco128" / "instances.json"
    content = json.loads(path.read_text())
    numbers = sorted(category["id"] for category in content["categories"])

    dataset = open_dataset(path)

    found = truths(dataset)
    assert list(found) == [image["file_name"] for image in content["images"]]
    assert (len(dataset), len(dataset.categories)) == (128, 80)
    assert sum(map(len, found.values())) == 939
    for image in content["images"]:
        of_it = [one for one in content["annotations"] if one["image_id"] == image["id"]]
        truth = found[image["file_name"]]
        assert truth.size == (image["height"], image["width"])
        assert truth.areas.tolist() == [one["area"] for one in of_it]
        assert truth.crowd.tolist() == [one["iscrowd"] == 1 for one in of_it]
        assert [numbers[index] for index in truth.classes] == [one["category_id"] for one in of_it]
        for box, one in zip(truth.boxes.tolist(), of_it, strict=True):
            x, y, width, height = one["bbox"]
            # float32 has 2**-14 pixels a step below 1024
            assert box == pytest.approx([x, y, x + width, y + height], abs=2**-14)
    assert dataset.notes == (
        "10 of 939 boxes are crowds: found or not, they count for nothing",
        "2 of 128 pictures have no box: whatever is found there is wrong; the first:"
        " '000000000250.jpg'",
    )


def test_an_area_above_zero_is_taken_and_else_it_is_the_boxs(tmp_path: Path) -> None:
    content = coco([(0, 0, 4, 4)] * 4)
    for entry, area in zip(content["annotations"], (3.5, 0, -1, None), strict=True):
        entry["area"] = area

    truth = only_truth(open_dataset(write_coco(tmp_path, content)))

    assert truth.areas.tolist() == [3.5, 16, 16, 16]


def test_pictures_keep_the_order_of_the_file_and_stay_without_annotations(tmp_path: Path) -> None:
    content = coco()
    for number, name in ((9, "c.png"), (3, "b.png")):
        write_picture(tmp_path / name)
        content["images"].append({"id": number, "file_name": name, "width": 40, "height": 30})

    dataset = open_dataset(write_coco(tmp_path, content))

    assert {name: len(boxes) for name, boxes in edges(dataset).items()} == {
        "a.png": 1,
        "c.png": 0,
        "b.png": 0,
    }
    assert list(edges(dataset)) == ["a.png", "c.png", "b.png"]
    assert dataset.notes == (
        "2 of 3 pictures have no box: whatever is found there is wrong; the first: 'c.png'",
    )


@pytest.mark.parametrize(
    ("json_at", "picture_at"),
    [
        ("labels.json", "a.png"),
        ("labels.json", "images/a.png"),
        ("instances_val2017.json", "val2017/a.png"),
        ("annotations/instances_val2017.json", "val2017/a.png"),
        ("annotations/instances_val2017.json", "images/val2017/a.png"),
        ("val.json", "val/a.png"),
    ],
)
def test_pictures_are_found_where_sets_have_them(
    tmp_path: Path, json_at: str, picture_at: str
) -> None:
    picture = write_picture(tmp_path / picture_at)
    path = tmp_path / json_at
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(coco()))

    (item,) = open_dataset(path).items

    assert Path(str(item.source)).samefile(picture)


def test_a_picture_beside_the_file_comes_before_one_in_a_folder(tmp_path: Path) -> None:
    write_picture(tmp_path / "images" / "a.png")

    (item,) = open_dataset(write_coco(tmp_path, coco())).items

    assert Path(str(item.source)).samefile(tmp_path / "a.png")


def test_where_the_labels_lack_a_size_the_picture_tells_it(tmp_path: Path) -> None:
    write_picture(tmp_path / "b.png", 11, 9)
    content = coco(images=[{"id": 7, "file_name": "b.png", "width": None, "height": 0}])

    dataset = open_dataset(write_coco(tmp_path, content))

    assert only_truth(dataset).size == (9, 11)


def test_boxes_of_no_area_and_beyond_the_picture_are_told_by_their_ids(tmp_path: Path) -> None:
    path = write_coco(tmp_path, coco([(0, 0, 0, 5), (30, 0, 20, 5), (-9, 0, 9, 5)]))

    dataset = open_dataset(path)

    assert edges(dataset) == {"a.png": [[30, 0, 40, 5]]}
    assert [note.partition(";")[2] for note in dataset.notes] == [
        " the first: annotation 101 of 'a.png'",
        " the first: annotation 102 of 'a.png'",
        " the first: annotation 100 of 'a.png'",
    ]


def set_in(part: str, key: str, value: Any) -> Change:
    return lambda content: content[part][0].update({key: value})


def twice(part: str, **other: Any) -> Change:
    return lambda content: content[part].append(content[part][0] | other)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_in("annotations", "category_id", 5), "annotation 100 has the category_id 5, which is"),
        (set_in("annotations", "image_id", 8), "annotation 100 is of the image_id 8, which is not"),
        (set_in("annotations", "image_id", "7"), "annotation 100 has the image_id '7'"),
        (set_in("annotations", "bbox", [1, 2, float("nan"), 4]), "annotation 100 has nan in its"),
        (set_in("annotations", "bbox", [1, 2, "3", 4]), "annotation 100 has '3' in its bbox"),
        (set_in("annotations", "bbox", [1, 2, 10**400, 4]), "in its bbox: give finite numbers"),
        (set_in("annotations", "bbox", [1, 2, -3, 4]), "bbox [1, 2, -3, 4], with a negative width"),
        (set_in("annotations", "bbox", [1, 2, 3]), "annotation 100 has the bbox [1, 2, 3]: give"),
        (set_in("annotations", "bbox", None), "annotation 100 has the bbox None"),
        (set_in("annotations", "area", float("inf")), "annotation 100 has inf in its area"),
        (set_in("annotations", "iscrowd", 2), "annotation 100 has iscrowd 2: give 0 or 1"),
        (set_in("images", "id", 7.5), "image number 1 has the id 7.5: give a whole number"),
        (set_in("images", "width", -40), "the image 7 has the height 30 and the width -40"),
        (set_in("images", "file_name", None), "the image 7 has the file_name None"),
        (set_in("images", "file_name", "z\0.png"), "there is no picture 'z"),
        (set_in("categories", "name", ""), "the category 90 has the name ''"),
        (set_in("categories", "id", True), "category number 1 has the id True"),
        (
            twice("images", file_name="b.png"),
            "the image id 7 is there twice; the second is 'b.png'",
        ),
        (twice("images", id=8), "the images 7 and 8 are both 'a.png'"),
        (twice("categories", name="mug"), "the category id 90 is there twice: 'cup' and 'mug'"),
        (lambda content: content.update(images=[]), "the image_id 7, which is not among"),
        (lambda content: content.update(images=[], annotations=[]), "the data set is empty"),
        (lambda content: content.update(annotations=[]), "none of the 1 picture has a box"),
        (lambda content: content.update(categories=[]), "it has no categories"),
        (lambda content: content.pop("annotations"), "'annotations' must be a list of objects"),
        (lambda content: content.update(annotations=[[1]]), "'annotations' must be a list of obj"),
    ],
)
def test_broken_labels_are_an_error_that_names_file_entry_and_value(
    tmp_path: Path, change: Change, words: str
) -> None:
    said = broken(tmp_path, change)

    assert "labels.json: " in said
    assert words in said


def test_missing_pictures_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        for number, name in enumerate(("x.png", "y.png")):
            content["images"].append({"id": number, "file_name": name})

    said = broken(tmp_path, change)

    assert "there is no picture 'x.png' (2 of 3 pictures are missing); looked in" in said
    assert str(tmp_path / "images") in said


@pytest.mark.parametrize("text", ["", "[" * 100_000, "{", '[{"image_id": 1}]', '"images"', "\xff"])
def test_a_json_file_of_something_else_is_an_error_that_says_what_is_wanted(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text, encoding="latin-1")

    with pytest.raises(DataError, match=r"labels\.json: (cannot be read as JSON|not of COCO's)"):
        open_dataset(path)
    with pytest.raises(DataError, match=r"labels\.json: "):
        class_names(path)
