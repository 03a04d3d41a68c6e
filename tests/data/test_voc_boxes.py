"""Boxes in the form of Pascal VOC."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from data.box_files import (
    edges,
    only_truth,
    truths,
    voc_object,
    write_picture,
    write_text,
    write_voc,
)
from intaglio.data.images import open_dataset
from intaglio.data.labels import class_names
from intaglio.errors import DataError

CAT = voc_object("cat", (1, 2, 3, 4))


def test_first_and_last_pixels_from_one_become_edges_from_zero(tmp_path: Path) -> None:
    whole = voc_object("dog", (1, 1, 40, 30))
    pixel = voc_object("cat", (5, 6, 5, 6))

    dataset = open_dataset(write_voc(tmp_path, {"a": whole + pixel}))

    truth = only_truth(dataset)
    assert truth.boxes.tolist() == [[0, 0, 40, 30], [4, 5, 5, 6]]
    assert truth.areas.tolist() == [1200, 1]
    assert truth.classes.tolist() == [1, 0]
    assert truth.size == (30, 40)
    assert dataset.notes == ()


def test_a_folder_has_all_its_annotations_sorted(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "set", {"b": CAT, "a": CAT, "c": CAT})
    write_text(root / "Annotations" / ".hidden.xml", "no annotation")

    dataset = open_dataset(root)

    assert list(edges(dataset)) == ["a.png", "b.png", "c.png"]
    assert dataset.name == "set"


@pytest.mark.parametrize("at", ["ImageSets/Main/val.txt", "ImageSets/val.txt", "val.txt"])
def test_a_list_has_its_own_pictures_in_its_order_and_the_categories_of_all(
    tmp_path: Path, at: str
) -> None:
    root = write_voc(tmp_path, {"a": CAT, "b": voc_object("ant", (1, 2, 3, 4)), "c": CAT})
    path = write_text(root / at, "c\n\n  a \r\n")

    dataset = open_dataset(path)

    assert list(edges(dataset)) == ["c.png", "a.png"]
    assert [one.name for one in dataset.categories] == ["ant", "cat"]
    assert [truth.classes.tolist() for truth in truths(dataset).values()] == [[1], [1]]
    assert class_names(path) == class_names(root) == ["ant", "cat"]


def test_a_list_is_found_from_inside_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_voc(tmp_path, {"a": CAT})
    monkeypatch.chdir(write_text(root / "ImageSets" / "Main" / "val.txt", "a").parent)

    assert list(edges(open_dataset("val.txt"))) == ["a.png"]


def test_a_text_file_elsewhere_is_no_data_set(tmp_path: Path) -> None:
    path = write_text(tmp_path / "val.txt", "a\n")

    with pytest.raises(DataError, match="not a data set; give"):
        open_dataset(path)


def test_difficult_objects_are_crowds_and_told(tmp_path: Path) -> None:
    hard = voc_object("cat", (1, 2, 3, 4), "<difficult>1</difficult>")
    easy = voc_object("cat", (1, 2, 3, 4), "<difficult>0</difficult>")

    dataset = open_dataset(write_voc(tmp_path, {"a": hard + easy + CAT}))

    assert only_truth(dataset).crowd.tolist() == [True, False, False]
    assert dataset.notes == ("1 of 3 boxes are difficult: found or not, they count for nothing",)


def test_the_parts_of_an_object_are_no_boxes_and_not_mistaken_for_its_own(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>9</xmin></bndbox></part>"

    dataset = open_dataset(write_voc(tmp_path, {"a": voc_object("cat", (1, 2, 3, 4), part)}))

    assert edges(dataset) == {"a.png": [[0, 1, 3, 4]]}


@pytest.mark.parametrize("size", ["<size/>", "<size><width>0</width><height>0</height></size>"])
def test_where_an_annotation_lacks_the_size_the_picture_tells_it(tmp_path: Path, size: str) -> None:
    dataset = open_dataset(write_voc(tmp_path, {"a": CAT}, size))

    assert only_truth(dataset).size == (30, 40)


def test_boxes_beyond_the_picture_and_pictures_without_labels_are_told(tmp_path: Path) -> None:
    root = write_voc(tmp_path, {"a": voc_object("cat", (-3, 20.5, 50, 33)), "b": ""})
    write_picture(root / "JPEGImages" / "c.jpg")

    dataset = open_dataset(root)

    assert edges(dataset) == {"a.png": [[0, 19.5, 40, 30]], "b.png": []}
    assert dataset.notes == (
        "1 of 3 pictures have no annotation and are left out; the first: 'c.jpg'",
        "1 of 1 box reach beyond the picture and are clipped to it; the first: object 1 of 'a.png'",
        "1 of 2 pictures have no box: whatever is found there is wrong; the first: 'b.png'",
    )


def numbers_of(text: str, tag: str) -> list[int]:
    return [int(number) for number in re.findall(f"<{tag}>([0-9]+)</{tag}>", text)]


def test_the_data_pack_is_read_as_its_text_says(data_pack: Path) -> None:
    root = data_pack / "bccd"

    dataset = open_dataset(root)

    assert (len(dataset), dataset.notes) == (364, ())
    assert [one.name for one in dataset.categories] == ["Platelets", "RBC", "WBC"]
    counts = [0, 0, 0]
    for name, truth in truths(dataset).items():
        text = (root / "Annotations" / name).with_suffix(".xml").read_text()
        assert truth.boxes[:, 0].tolist() == [x - 1 for x in numbers_of(text, "xmin")]
        assert truth.boxes[:, 1].tolist() == [y - 1 for y in numbers_of(text, "ymin")]
        assert truth.boxes[:, 2].tolist() == numbers_of(text, "xmax")
        assert truth.boxes[:, 3].tolist() == numbers_of(text, "ymax")
        for index in truth.classes:
            counts[index] += 1
    assert counts == [361, 4155, 372]


def test_the_lists_of_the_data_pack_share_its_pictures_out(data_pack: Path) -> None:
    lists = data_pack / "bccd" / "ImageSets" / "Main"

    learned, judged = (open_dataset(lists / name) for name in ("trainval.txt", "test.txt"))

    assert (len(learned), len(judged)) == (292, 72)
    assert not set(edges(learned)) & set(edges(judged))
    assert learned.categories == judged.categories


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (voc_object("cat", (1, "nan", 3, 4)), "object 1 ('cat') has xmin '1', ymin 'nan'"),
        (voc_object("cat", (1, 2, 3, "")), "ymax '': give four finite numbers"),
        (CAT + voc_object("cat", (5, 2, 3, 4)), "object 2 ('cat') has xmin '5'"),
        (voc_object("cat", (5, 2, 3, 4)), "a side is negative"),
        (voc_object(" ", (1, 2, 3, 4)), "object 1 has no <name>"),
        ("<object><name>cat</name></object>", "object 1 ('cat') has xmin ''"),
        (voc_object("cat", (1, 2, 3, 4), "<difficult>x</difficult>"), "has difficult 'x'"),
        ("<object>", "line 3: not XML (mismatched tag"),
        ("&other;", "line 3: not XML (undefined entity"),
    ],
)
def test_broken_annotations_are_an_error_that_names_file_and_value(
    tmp_path: Path, text: str, words: str
) -> None:
    root = write_voc(tmp_path, {"a": text, "b": CAT})

    with pytest.raises(DataError) as caught:
        open_dataset(root)

    assert f"{Path('Annotations', 'a.xml')}: " in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a\.xml: line 1: not XML"),
        ("<kml></kml>", r"a\.xml: .*begins with <kml>"),
        ('<!DOCTYPE x [<!ENTITY y "z">]>\n<annotation>&y;</annotation>', "line 1: it has a doc"),
        ('<!DOCTYPE x SYSTEM "http://nowhere/x.dtd">\n<annotation/>', "line 1: it has a document"),
        ('<?xml version="1.0" encoding="none"?>\n<annotation/>', r"a\.xml: line [01]: not XML"),
        (f"<annotation>{' ' * 2**24}</annotation>", "more than 16777216 bytes"),
        ("<annotation><size><width>-4</width><height>3</height></size></annotation>", "width '-4'"),
    ],
)
def test_files_that_are_no_annotations_of_boxes_are_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    root = write_voc(tmp_path, {"a": CAT, "b": CAT})
    write_text(root / "Annotations" / "a.xml", text)

    with pytest.raises(DataError, match=message):
        open_dataset(root)


def test_a_name_of_a_list_without_annotation_is_an_error_with_its_line(tmp_path: Path) -> None:
    root = write_voc(tmp_path, {"a": CAT})

    for text, message in (
        ("a\nb\n", r"val\.txt: line 2: there is no Annotations/b\.xml"),
        ("a  1\n", r"line 1: .*lists of one class"),
        ("a\n\na\n", r"line 3: 'a' is there twice, first in line 1"),
        ("\n", r"val\.txt: the data set is empty: it names no picture"),
    ):
        with pytest.raises(DataError, match=message):
            open_dataset(write_text(root / "val.txt", text))


def test_annotations_without_pictures_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    root = write_voc(tmp_path, {"a": CAT, "b": CAT, "c": CAT})
    for name in ("b.png", "c.png"):
        (root / "JPEGImages" / name).unlink()

    with pytest.raises(DataError, match=r"b\.xml: there is no picture 'b' .*2 of 3 pictures"):
        open_dataset(root)


def test_one_name_with_two_endings_is_unclear(tmp_path: Path) -> None:
    root = write_voc(tmp_path, {"a": CAT})
    write_picture(root / "JPEGImages" / "a.jpg")

    with pytest.raises(DataError, match=r"'a\.jpg' and 'a\.png' are one name"):
        open_dataset(root)


def test_a_set_without_annotations_is_empty(tmp_path: Path) -> None:
    root = write_voc(tmp_path, {"a": CAT})
    (root / "Annotations" / "a.xml").unlink()

    for use in (open_dataset, class_names):
        with pytest.raises(DataError, match="the data set is empty: no object in any file"):
            use(root)
