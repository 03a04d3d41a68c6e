"""Boxes in the form of YOLO: folders, and data.yaml."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.box_files import (
    HEIGHT,
    WIDTH,
    edges,
    only_truth,
    truths,
    write_picture,
    write_text,
    write_yolo,
)
from intaglio.data.images import open_dataset
from intaglio.data.labels import class_names
from intaglio.data.yolo_boxes import share_of
from intaglio.errors import DataError, RequestError

LINE = "0 0.5 0.5 0.25 0.2\n"
BOX = [15.0, 12.0, 25.0, 18.0]
NAMES = "names: [cat, dog]\n"


def in_yaml(folder: Path, text: str = "train: images/train\nval: images/val\n" + NAMES) -> Path:
    """Write a data.yaml beside the pictures of two splits, and return its path."""
    write_yolo(folder, {"train/a": LINE, "train/b": LINE, "val/c": "1 0.5 0.5 1 1\n"})
    return write_text(folder / "data.yaml", text)


# Lines


def test_a_line_is_the_middle_and_the_sides_in_shares_of_the_picture(tmp_path: Path) -> None:
    dataset = open_dataset(write_yolo(tmp_path / "set", {"a": LINE + "\n2  0.5\t0.5 1 1"}))

    truth = only_truth(dataset)
    assert truth.boxes.tolist() == [pytest.approx(BOX, abs=2**-19), [0, 0, WIDTH, HEIGHT]]
    assert truth.classes.tolist() == [0, 2]
    assert truth.crowd.tolist() == [False, False]
    assert truth.size == (HEIGHT, WIDTH)
    assert (dataset.name, dataset.notes) == ("set", ())


def test_an_outline_becomes_the_box_around_its_points(tmp_path: Path) -> None:
    dataset = open_dataset(write_yolo(tmp_path, {"a": "0 0.25 0.5 0.5 0.1 0.75 0.4 0.5 0.9\n"}))

    # float32 of the pixels; shares are decimal fractions
    assert edges(dataset)["a.png"][0] == pytest.approx([10, 3, 30, 27], abs=2**-19)


@given(
    st.tuples(st.integers(1, 4000), st.integers(1, 4000)),
    st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_pixels_written_as_shares_come_back(size: tuple[int, int], at: list[float]) -> None:
    width, height = size
    left, right = sorted((at[0] * width, at[1] * width))
    top, bottom = sorted((at[2] * height, at[3] * height))
    numbers = (
        (left + right) / 2 / width,
        (top + bottom) / 2 / height,
        (right - left) / width,
        (bottom - top) / height,
    )

    share = share_of(Path("a.txt"), 1, "3 " + " ".join(map(repr, numbers)), None)

    assert share.index == 3
    back = [edge * side for edge, side in zip(share.edges, (width, height) * 2, strict=True)]
    # a few roundings of float64, each at most 2**-52 of the side
    assert back == pytest.approx([left, top, right, bottom], abs=4000 * 2**-49)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 0.5 0.5 0.25", "line 2 has 4 numbers: give class cx cy w h"),
        ("0 0.5 0.5 0.25 0.2 0.9", "line 2 has 6 numbers"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "line 2 has 8 numbers"),
        ("0 0.5 nan 0.25 0.2", "line 2: 'nan' is no finite number"),
        ("0 0.5 0.5 1e999 0.2", "line 2: '1e999' is no finite number"),
        ("cat 0.5 0.5 0.25 0.2", "line 2: 'cat' is no finite number"),
        ("0 0.5 0.5 -0.25 0.2", "line 2: the sides -0.25 and 0.2 must not be negative"),
        ("0.5 0.5 0.5 0.25 0.2", "line 2: the class '0.5' is no index"),
        ("-1 0.5 0.5 0.25 0.2", "line 2: the class '-1' is no index"),
        ("2 0.5 0.5 0.25 0.2", "line 2: the class 2 is none: there are 2 names, 0 to 1"),
    ],
)
def test_a_broken_line_is_an_error_that_names_file_line_and_value(
    tmp_path: Path, line: str, words: str
) -> None:
    root = write_yolo(tmp_path, {"a": LINE + line})
    write_text(root / "classes.txt", "cat\ndog\n")

    with pytest.raises(DataError) as caught:
        open_dataset(root)

    assert f"{Path('labels', 'a.txt')}: " in str(caught.value)
    assert words in str(caught.value)


def test_text_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    root = write_yolo(tmp_path, {"a": LINE})
    (root / "labels" / "a.txt").write_bytes(b"0 \xff\n")

    with pytest.raises(DataError, match=r"a\.txt: not UTF-8 text"):
        open_dataset(root)


# Folders


def test_a_folder_has_its_pictures_sorted_with_labels_beside_them_in_labels(
    tmp_path: Path,
) -> None:
    root = write_yolo(tmp_path, {"b": LINE, "a": "1 0.5 0.5 1 1", "val/c.d": LINE})

    dataset = open_dataset(root)

    assert list(edges(dataset)) == ["a.png", "b.png", "val/c.d.png"]
    assert [truth.classes.tolist() for truth in truths(dataset).values()] == [[1], [0], [0]]


@pytest.mark.parametrize("at", ["classes.txt", "labels/classes.txt"])
def test_classes_txt_names_the_classes(tmp_path: Path, at: str) -> None:
    root = write_yolo(tmp_path, {"a": LINE})
    write_text(root / at, "cat\ndog\nbird\n")

    assert [one.name for one in open_dataset(root).categories] == ["cat", "dog", "bird"]
    assert class_names(root) == ["cat", "dog", "bird"]


def test_without_names_classes_are_called_by_their_numbers(tmp_path: Path) -> None:
    root = write_yolo(tmp_path, {"a": LINE, "b": "2 0.5 0.5 1 1"})

    assert [(one.number, one.name) for one in open_dataset(root).categories] == [
        (0, "0"),
        (1, "1"),
        (2, "2"),
    ]
    assert class_names(root) == ["0", "1", "2"]


def test_a_huge_class_without_names_does_not_make_a_huge_list(tmp_path: Path) -> None:
    root = write_yolo(tmp_path, {"a": "2000000000 0.5 0.5 1 1"})

    with pytest.raises(DataError, match="class 2000000000 is none: there are no more than 10000"):
        open_dataset(root)


def test_pictures_without_a_file_of_labels_are_empty_and_told(tmp_path: Path) -> None:
    root = write_yolo(tmp_path, {"a": LINE, "b": None, "c": ""})

    dataset = open_dataset(root)

    assert {name: len(boxes) for name, boxes in edges(dataset).items()} == {
        "a.png": 1,
        "b.png": 0,
        "c.png": 0,
    }
    assert dataset.notes == (
        "1 of 3 pictures have no file of labels and count as empty; the first: 'b.png'",
        "2 of 3 pictures have no box: whatever is found there is wrong; the first: 'b.png'",
    )


def test_labels_without_a_picture_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    root = write_yolo(tmp_path, {"a": LINE, "b": LINE, "c": LINE})
    for name in ("b.png", "c.png"):
        (root / "images" / name).unlink()

    with pytest.raises(DataError, match=r"labels/b\.txt: there is no picture .*2 of 3 files"):
        open_dataset(root)


def test_boxes_beyond_the_picture_are_clipped_and_told_by_their_line(tmp_path: Path) -> None:
    dataset = open_dataset(write_yolo(tmp_path, {"a": LINE + "0 1 0.5 0.5 1\n0 3 3 1 1\n"}))

    assert edges(dataset)["a.png"][1:] == [[30, 0, 40, 30]]
    assert [note.rpartition("first: ")[2] for note in dataset.notes] == [
        "line 2 of 'a.png'",
        "line 3 of 'a.png'",
    ]


def test_labels_in_pixels_are_refused_as_they_leave_no_box(tmp_path: Path) -> None:
    root = write_yolo(tmp_path, {"a": "0 20 15 10 6\n"})

    with pytest.raises(DataError, match=r"none of the 1 picture has a box.*from 0 to 1"):
        open_dataset(root)


def test_a_picture_that_cannot_be_read_is_an_error_as_its_size_is_needed(tmp_path: Path) -> None:
    root = write_yolo(tmp_path, {"a": LINE})
    (root / "images" / "a.png").write_bytes(b"no picture")

    with pytest.raises(DataError, match=r"a\.png: not a readable image.*size of their picture"):
        open_dataset(root)


def test_class_folders_that_are_called_images_and_labels_stay_class_folders(
    tmp_path: Path,
) -> None:
    for name in ("images/a.png", "labels/b.png"):
        write_picture(tmp_path / name)
    write_text(tmp_path / "labels" / "b.txt", "what it shows")

    assert [item.label for item in open_dataset(tmp_path).items] == [0, 1]
    assert class_names(tmp_path) == ["images", "labels"]


# data.yaml


def test_a_data_yaml_means_val_and_a_colon_names_another_split(tmp_path: Path) -> None:
    path = in_yaml(tmp_path)

    judged, learned = open_dataset(path), open_dataset(f"{path}:train")

    assert list(edges(judged)) == ["images/val/c.png"]
    assert list(edges(learned)) == ["images/train/a.png", "images/train/b.png"]
    assert judged.categories == learned.categories
    assert class_names(f"{path}:train") == ["cat", "dog"]
    assert (judged.name, learned.name) == ("data.yaml", "data.yaml:train")


@pytest.mark.parametrize(
    ("splits", "meant"),
    [("train: images/train\ntest: images/val\n", "c"), ("train: images/train\nval:\n", "a")],
)
def test_where_there_is_no_val_test_is_meant_and_else_train(
    tmp_path: Path, splits: str, meant: str
) -> None:
    dataset = open_dataset(in_yaml(tmp_path, splits + NAMES))

    assert dataset.items[0].name.endswith(f"{meant}.png")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: {1: dog, 0: cat}", ["cat", "dog"]),
        ("names:\n  - cat\n  - dog\nnc: 2", ["cat", "dog"]),
        ("names: ['no', 7]", ["no", "7"]),
        ("nc: 3", ["0", "1", "2"]),
    ],
)
def test_names_are_a_list_a_mapping_or_only_counted(
    tmp_path: Path, text: str, names: list[str]
) -> None:
    path = in_yaml(tmp_path, "val: images/val\n" + text)

    assert class_names(path) == names
    assert [one.name for one in open_dataset(path).categories] == names


def test_pictures_are_named_from_path_and_path_from_the_yaml(tmp_path: Path) -> None:
    write_yolo(tmp_path / "sets" / "cells", {"val/c": LINE})
    relative, absolute = "../sets/cells", tmp_path / "sets" / "cells"

    for number, root in enumerate((relative, absolute)):
        text = f"path: {root}\nval: images/val\n{NAMES}"
        path = write_text(tmp_path / "configs" / f"{number}.yml", text)
        assert list(edges(open_dataset(path))) == ["images/val/c.png"]


def test_exported_sets_name_the_folder_above_though_they_lie_beside(tmp_path: Path) -> None:
    write_picture(tmp_path / "valid" / "images" / "a.png")
    write_text(tmp_path / "valid" / "labels" / "a.txt", LINE)
    path = write_text(tmp_path / "data.yaml", f"val: ../valid/images\n{NAMES}")

    assert list(edges(open_dataset(path))) == ["valid/images/a.png"]


def test_a_split_may_be_several_folders_and_lists(tmp_path: Path) -> None:
    path = in_yaml(tmp_path, "val: [images/val, some.txt]\n" + NAMES)
    write_text(tmp_path / "some.txt", "./images/train/b.png\n")

    dataset = open_dataset(path)

    assert list(edges(dataset)) == ["images/val/c.png", "images/train/b.png"]


def test_labels_may_lie_beside_their_pictures(tmp_path: Path) -> None:
    write_picture(tmp_path / "val" / "a.png")
    write_text(tmp_path / "val" / "a.txt", LINE)
    write_text(tmp_path / "val" / "readme.txt", "no labels")
    path = write_text(tmp_path / "data.yaml", f"val: val\n{NAMES}")

    assert edges(open_dataset(path)) == {"val/a.png": [pytest.approx(BOX, abs=2**-19)]}


def test_a_set_whose_labels_are_nowhere_is_an_error_that_says_where_they_were_looked_for(
    tmp_path: Path,
) -> None:
    write_picture(tmp_path / "images" / "val" / "a.png")
    path = write_text(tmp_path / "data.yaml", f"val: images/val\n{NAMES}")

    with pytest.raises(DataError, match=r"none of the 1 picture has labels: .*labels/val/a\.txt"):
        open_dataset(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("val: images/nowhere\n" + NAMES, "there is no 'images/nowhere', which it names for 'val'"),
        ("path: gone\nval: images/val\n" + NAMES, "there is no folder 'gone', its `path`"),
        ("path: [a]\nval: images/val\n" + NAMES, "the path is ['a']"),
        ("val: 3\n" + NAMES, "'val' is 3: give a folder"),
        ("val: []\n" + NAMES, "'val' is []: give a folder"),
        ("val: list.txt\n" + NAMES, "list.txt: line 2: there is no picture 'images/x.png'"),
        ("val: [images/val, images/val]\n" + NAMES, "'images/val/c.png' is there twice"),
        ("val: images/val/c.png\n" + NAMES, "c.png: not UTF-8 text"),
        ("val: images/empty\n" + NAMES, "the data set is empty: it names no picture"),
        (NAMES, "no pictures; it has none of train, val and test"),
        ("val: images/val\n", "names is missing"),
        ("val: images/val\nnames: cat", "names is 'cat'"),
        ("val: images/val\nnames: []", "it names no class"),
        ("val: images/val\nnames: [yes, no]", "the name of class 0 is True: write it in quotes"),
        ("val: images/val\nnames: {0: cat, 2: dog}", "names lacks the index 1"),
        ("val: images/val\nnames: [cat]", "the class 1 is none: there are 1 names"),
        ("val: images/val\nnc: 3\n" + NAMES, "nc is 3, but there are 2 names"),
        ("val: images/val\nnc: 1000000000", "nc is 1000000000: give the number"),
        ("- val", "not a data.yaml"),
        ("val: [", "cannot be read as YAML"),
        ("[" * 500, "cannot be read as YAML"),
        ("val: !!python/object/apply:os.getcwd []", "cannot be read as YAML"),
        ("when: 2024-99-99", "cannot be read as YAML"),
    ],
)
def test_a_broken_data_yaml_is_an_error_that_names_file_and_value(
    tmp_path: Path, text: str, words: str
) -> None:
    path = in_yaml(tmp_path, text)
    (tmp_path / "images" / "empty").mkdir()
    write_text(tmp_path / "list.txt", "images/val/c.png\nimages/x.png\n")

    with pytest.raises(DataError) as caught:
        open_dataset(path)

    assert words in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_split_that_there_is_not_is_named_beside_those_that_there_are(tmp_path: Path) -> None:
    path = in_yaml(tmp_path)

    with pytest.raises(DataError, match=r"data\.yaml: no split 'minival'; it has val, train"):
        open_dataset(f"{path}:minival")
    with pytest.raises(DataError, match="no such file or folder"):
        open_dataset(tmp_path / "other.yaml:train")


def test_without_pyyaml_a_data_yaml_says_what_to_install_and_folders_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = in_yaml(tmp_path)
    monkeypatch.setitem(sys.modules, "yaml", None)

    with pytest.raises(RequestError, match=r"pip install 'intaglio\[detect\]'"):
        open_dataset(path)
    assert len(open_dataset(tmp_path)) == 3
