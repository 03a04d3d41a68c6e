"""Folders of pictures and masks: which are, which are not, and what is told of odd ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.box_files import write_picture, write_text
from data.mask_pictures import (
    names,
    read_all,
    some_classes,
    write_mask,
    write_pairs,
    write_voc_masks,
)
from intaglio.data.mask_folder import (
    MaskFolders,
    checked_names,
    class_lines,
    folders_beside,
    folders_inside,
    folders_of_voc,
    list_stems,
    open_masks,
)
from intaglio.data.truth import Category
from intaglio.errors import DataError


def opened(found: MaskFolders | None) -> list[str]:
    assert found is not None
    return names(open_masks(found))


# Which folders are sets of masks


def test_a_folder_has_its_masks_beside_it(tmp_path: Path) -> None:
    write_pairs(tmp_path / "test", tmp_path / "testannot")
    (tmp_path / "test" / "readme.txt").write_text("")

    assert opened(folders_beside(tmp_path / "test")) == ["a.jpg", "b.jpg"]
    assert folders_beside(tmp_path / "testannot") is None
    assert folders_beside(tmp_path) is None
    assert folders_beside(Path("/")) is None


def test_a_relative_path_finds_the_masks_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pairs(tmp_path / "test", tmp_path / "testannot")

    monkeypatch.chdir(tmp_path)
    assert opened(folders_beside(Path("test"))) == ["a.jpg", "b.jpg"]
    monkeypatch.chdir(tmp_path / "test")
    assert opened(folders_beside(Path("."))) == ["a.jpg", "b.jpg"]


def test_a_folder_of_that_name_without_masks_of_these_pictures_is_none(tmp_path: Path) -> None:
    write_pairs(tmp_path / "x", tmp_path / "xannot")
    write_text(tmp_path / "xannot" / "a.txt", "0 0 0 1 1")
    write_picture(tmp_path / "y" / "a.jpg")
    write_mask(tmp_path / "yannot" / "b.png")
    write_pairs(tmp_path / "z" / "cat", tmp_path / "zannot" / "cat")  # pictures are not in z itself

    for name in "xyz":
        assert folders_beside(tmp_path / name) is None


@pytest.mark.parametrize("masks", ["masks", "labels", "annotations"])
def test_a_folder_has_images_and_masks_in_folders_of_the_same_shape(
    tmp_path: Path, masks: str
) -> None:
    write_pairs(tmp_path / "images" / "val", tmp_path / masks / "val")
    write_pairs(tmp_path / "images", tmp_path / masks, ["c.x"])
    write_text(tmp_path / ".cache" / "notes.txt", "")

    for wanted in (False, True):
        found = folders_inside(tmp_path, wanted=wanted)
        assert opened(found) == ["c.x.jpg", "val/a.jpg", "val/b.jpg"]


def test_what_may_be_class_folders_or_labels_of_boxes_is_no_set_of_masks(tmp_path: Path) -> None:
    write_picture(tmp_path / "jpeg" / "images" / "a.jpg")
    write_picture(tmp_path / "jpeg" / "masks" / "a.jpg")
    write_picture(tmp_path / "names" / "images" / "a.png")
    write_picture(tmp_path / "names" / "masks" / "b.png")
    write_picture(tmp_path / "yolo" / "images" / "a.jpg")
    write_text(tmp_path / "yolo" / "labels" / "a.txt", "0 0.5 0.5 1 1")
    write_picture(tmp_path / "one" / "images" / "a.jpg")
    (tmp_path / "empty" / "images").mkdir(parents=True)
    (tmp_path / "empty" / "masks").mkdir()

    for name in ("jpeg", "names", "yolo", "one", "empty", "nowhere", "x" * 5000, "nul\0nul"):
        for wanted in (False, True):
            assert folders_inside(tmp_path / name, wanted=wanted) is None


def test_a_further_folder_makes_it_class_folders_but_where_masks_are_wanted(tmp_path: Path) -> None:
    write_pairs(tmp_path / "images", tmp_path / "masks")
    write_picture(tmp_path / "cat" / "a.jpg")

    assert folders_inside(tmp_path, wanted=False) is None
    assert opened(folders_inside(tmp_path, wanted=True)) == ["a.jpg", "b.jpg"]

    write_pairs(tmp_path / "images", tmp_path / "labels")  # now two folders may be the masks
    assert folders_inside(tmp_path, wanted=True) is None


def test_a_list_of_voc_has_its_pictures_in_its_order(tmp_path: Path) -> None:
    root = write_voc_masks(tmp_path, ["a", "b", "c"])
    path = write_text(root / "ImageSets" / "Segmentation" / "val.txt", "c\n\n a \n")

    assert opened(folders_of_voc(root, wanted=False)) == ["a.jpg", "b.jpg", "c.jpg"]
    assert opened(folders_of_voc(path, wanted=False)) == ["c.jpg", "a.jpg"]
    found = folders_of_voc(path, wanted=False)
    assert found is not None
    assert open_masks(found).notes == ()
    assert open_masks(found).name == "val.txt"


def test_a_set_of_voc_with_boxes_is_one_of_boxes_but_where_masks_are_wanted(tmp_path: Path) -> None:
    root = write_voc_masks(tmp_path)
    (root / "Annotations").mkdir()
    other = write_text(root / "ImageSets" / "Main" / "val.txt", "a")
    assert folders_of_voc(root, wanted=False) is None
    assert folders_of_voc(other, wanted=False) is None

    assert opened(folders_of_voc(root, wanted=True)) == ["a.jpg", "b.jpg"]
    assert opened(folders_of_voc(other, wanted=True)) == ["a.jpg"]
    assert folders_of_voc(write_text(root / "notes.md", "a"), wanted=True) is None
    assert folders_of_voc(write_text(tmp_path / "a/b/c/d/val.txt", "a"), wanted=True) is None


# What is read of them


def test_classes_are_read_from_the_file_of_the_pictures_name(tmp_path: Path) -> None:
    write_pairs(tmp_path / "x", tmp_path / "xannot")
    other = some_classes(7)
    write_mask(tmp_path / "xannot" / "b.png", other, "P")

    dataset = open_masks(MaskFolders(tmp_path / "x", tmp_path / "x", tmp_path / "xannot"))

    assert np.array_equal(read_all(dataset)["a.jpg"], some_classes())
    assert np.array_equal(read_all(dataset)["b.jpg"], other)
    assert (dataset.name, dataset.categories, dataset.labelled) == ("x", (), True)


def test_names_of_classes_are_lines_beside_the_masks_and_bound_the_indices(tmp_path: Path) -> None:
    write_pairs(tmp_path / "x", tmp_path / "xannot")
    write_text(tmp_path / "classes.txt", "sky\nroad\n\nold car\n")
    found = folders_beside(tmp_path / "x")
    assert found is not None

    dataset = open_masks(found)

    assert dataset.categories == (Category(0, "sky"), Category(1, "road"), Category(2, "old car"))
    write_mask(tmp_path / "xannot" / "a.png", some_classes(4))
    with pytest.raises(DataError, match=r"a\.png: the mask holds 3 .*3 classes, 0 to 2"):
        read_all(dataset)


def test_what_has_no_partner_is_left_out_and_told_with_the_first_of_each(tmp_path: Path) -> None:
    write_pairs(tmp_path / "x", tmp_path / "xannot", ["a", "b", "d"])
    write_picture(tmp_path / "x" / "c.png")
    for name in ("e", "f"):
        write_mask(tmp_path / "xannot" / f"{name}.png")

    dataset = open_masks(MaskFolders(tmp_path / "x", tmp_path / "x", tmp_path / "xannot"))

    assert names(dataset) == ["a.jpg", "b.jpg", "d.jpg"]
    assert dataset.notes == (
        "1 of 4 pictures have no mask and are left out; the first: 'c.png'",
        "2 of 5 masks have no picture and are left out; the first: 'e.png'",
    )


def test_no_pair_at_all_is_an_error_with_both_counts(tmp_path: Path) -> None:
    write_picture(tmp_path / "JPEGImages" / "a.jpg")
    write_mask(tmp_path / "SegmentationClass" / "a_mask.png")

    found = folders_of_voc(tmp_path, wanted=False)

    assert found is not None
    with pytest.raises(DataError, match=r"no picture has a mask: 1 picture in .*, 1 mask .*a\.png"):
        open_masks(found)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a\nb\na\n", r"val\.txt: line 3: 'a' is there twice, first in line 1"),
        ("a\nz\n", r"val\.txt: there is no picture 'z' in .*JPEGImages \(1 of 2 pictures"),
        ("a\nlone\n", r"val\.txt: there is no mask 'lone' in .*SegmentationClass \(1 of 2 masks"),
        ("a.jpg\n", r"no picture 'a\.jpg' .*one name without ending"),
        ("\n", r"val\.txt: the list names no picture"),
    ],
)
def test_a_list_that_names_what_is_not_there_is_an_error(
    tmp_path: Path, lines: str, message: str
) -> None:
    root = write_voc_masks(tmp_path)
    write_picture(root / "JPEGImages" / "lone.jpg")
    path = write_text(root / "ImageSets" / "Segmentation" / "val.txt", lines)

    with pytest.raises(DataError, match=message):
        opened(folders_of_voc(path, wanted=False))


def test_one_name_with_two_endings_is_an_error(tmp_path: Path) -> None:
    write_pairs(tmp_path / "x", tmp_path / "xannot")
    write_picture(tmp_path / "x" / "a.png")

    with pytest.raises(DataError, match=r"'a\.jpg' and 'a\.png' are one name with two endings"):
        opened(folders_beside(tmp_path / "x"))


def test_a_mask_of_another_size_than_its_picture_is_found_when_it_is_read(tmp_path: Path) -> None:
    write_pairs(tmp_path / "x", tmp_path / "xannot")
    write_mask(tmp_path / "xannot" / "b.png", some_classes(size=(5, 6)))
    found = folders_beside(tmp_path / "x")
    assert found is not None

    with pytest.raises(DataError, match=r"b\.png: the mask is 6x5 pixels, its picture b\.jpg is"):
        read_all(open_masks(found))


def test_names_are_at_most_255_and_each_is_there_once(tmp_path: Path) -> None:
    file = tmp_path / "classes.txt"

    assert class_lines(file) == ()
    assert len(checked_names(file, [str(index) for index in range(255)])) == 255
    with pytest.raises(DataError, match="it names 256 classes"):
        checked_names(file, [str(index) for index in range(256)])
    with pytest.raises(DataError, match="the class 'sky' is there twice"):
        class_lines(write_text(file, "sky\nroad\nsky\n"))
    with pytest.raises(DataError, match="cannot be read"):
        list_stems(tmp_path / "nowhere.txt")


def test_the_masks_of_camvid_are_all_found(data_pack: Path) -> None:
    for split, count in (("train", 367), ("val", 101), ("test", 233)):
        found = folders_beside(data_pack / "camvid" / split)
        assert found is not None
        dataset = open_masks(found)
        assert (len(dataset), dataset.notes) == (count, ())
        label = dataset.items[count - 1].label
        assert label.read((360, 480), "last").max() <= 11  # type: ignore[union-attr]
