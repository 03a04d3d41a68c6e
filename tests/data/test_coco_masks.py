"""Masks of COCO's outlines: what is painted over what, and every way a file may be wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as pycoco
from pycocotools.coco import COCO

from data.box_files import HEIGHT, WIDTH, coco, write_coco, write_picture
from data.mask_pictures import SIZE, read_all
from intaglio.data.coco_masks import OutlinedMask, coco_mask_categories, open_coco_masks
from intaglio.data.mask import IGNORED, UnreadMask
from intaglio.data.truth import Category
from intaglio.errors import DataError, RequestError

CUP, DOG = 2, 1
"""Classes of the categories 90 and 18; 0 is the background."""


def square(left: int, top: int, right: int, bottom: int) -> list[int]:
    return [left, top, right, top, right, bottom, left, bottom]


def runs_of(drawn: NDArray[np.bool_], *, text: bool) -> dict[str, Any]:
    if text:
        encoded = pycoco.encode(np.asfortranarray(drawn.astype(np.uint8)))
        return {"size": list(drawn.shape), "counts": encoded["counts"].decode()}
    flat = np.concatenate([[False], drawn.T.ravel()])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], changes, [drawn.size]]))
    return {"size": list(drawn.shape), "counts": counts.tolist()}


def written(folder: Path, *objects: dict[str, Any], **parts: Any) -> Path:
    annotations = [
        {"id": 100 + n, "image_id": 7, "category_id": 90, "iscrowd": 0} | one
        for n, one in enumerate(objects)
    ]
    return write_coco(folder, coco(annotations=annotations, **parts))


def read(path: Path) -> NDArray[np.uint8]:
    return read_all(open_coco_masks(path))["a.png"]


def area(left: int, top: int, right: int, bottom: int) -> NDArray[np.bool_]:
    drawn = np.zeros(SIZE, np.bool_)
    drawn[top:bottom, left:right] = True
    return drawn


def test_polygons_on_whole_pixels_are_filled_exactly_and_need_no_boxes(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"segmentation": [square(3, 4, 10, 12), square(20, 4, 30, 6)]},
        {"segmentation": [square(0, 20, 40, 30)], "category_id": 18},
    )

    label = open_coco_masks(path).items[0].label

    assert isinstance(label, UnreadMask)
    expected = np.zeros(SIZE, np.uint8)
    expected[area(3, 4, 10, 12) | area(20, 4, 30, 6)] = CUP
    expected[area(0, 20, 40, 30)] = DOG
    assert np.array_equal(read(path), expected)


def test_polygons_and_both_forms_of_runs_of_one_object_are_the_same(tmp_path: Path) -> None:
    drawn = area(3, 4, 10, 12)
    forms = [[square(3, 4, 10, 12)], runs_of(drawn, text=True), runs_of(drawn, text=False)]

    for number, form in enumerate(forms):
        path = written(tmp_path / str(number), {"segmentation": form})
        assert np.array_equal(read(path), np.where(drawn, CUP, 0))


@pytest.mark.parametrize("reverse", [False, True])
def test_a_smaller_object_stays_on_top_whatever_the_order(tmp_path: Path, reverse: bool) -> None:
    objects = [
        {"segmentation": [square(0, 0, 30, 20)], "area": 1.0},  # the pixels count, not this
        {"segmentation": [square(5, 5, 10, 10)], "category_id": 18, "area": 999.0},
    ]

    found = read(written(tmp_path, *(objects[::-1] if reverse else objects)))

    assert (found[area(5, 5, 10, 10)] == DOG).all()
    assert (found[area(0, 0, 30, 20) & ~area(5, 5, 10, 10)] == CUP).all()


def test_of_equal_objects_the_later_one_is_on_top(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"segmentation": [square(0, 0, 6, 6)]},
        {"segmentation": [square(3, 0, 9, 6)], "category_id": 18},
    )

    assert (read(path)[area(3, 0, 9, 6)] == DOG).all()


def test_a_crowd_is_ignored_but_where_an_object_is(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"segmentation": [square(0, 0, 30, 20)]},
        {"segmentation": runs_of(area(20, 0, 40, 5), text=True), "iscrowd": 1},
    )

    found = read(path)

    assert (found[area(0, 0, 30, 20)] == CUP).all()  # also where the smaller crowd is
    assert (found[area(30, 0, 40, 5)] == IGNORED).all()
    assert open_coco_masks(path).notes == (
        "1 of 2 annotations are crowds: their pixels count for nothing, but where another object"
        " is",
    )


def test_a_polygon_that_reaches_beyond_the_picture_is_cut_off_at_its_border(tmp_path: Path) -> None:
    path = written(tmp_path, {"segmentation": [square(30, -5, 50, 10)]})

    assert np.array_equal(read(path) == CUP, area(30, 0, 40, 10))


def test_classes_are_the_background_and_the_categories_by_rising_id(tmp_path: Path) -> None:
    path = written(tmp_path, {"segmentation": [square(3, 4, 10, 12)]})

    expected = (Category(0, "background"), Category(18, "dog"), Category(90, "cup"))
    assert coco_mask_categories(path) == open_coco_masks(path).categories == expected


@pytest.mark.parametrize("number", [0, 3])
def test_a_category_called_background_is_the_background(tmp_path: Path, number: int) -> None:
    path = written(
        tmp_path,
        {"segmentation": [square(0, 0, 30, 20)], "category_id": 1},
        {"segmentation": [square(5, 5, 10, 10)], "category_id": number},
        categories=[{"id": 1, "name": "dog"}, {"id": number, "name": "Background"}],
    )

    assert coco_mask_categories(path) == (Category(number, "Background"), Category(1, "dog"))
    assert (read(path)[area(5, 5, 10, 10)] == 0).all()
    assert (read(path)[area(10, 0, 30, 20)] == 1).all()


def test_a_category_of_the_id_0_is_not_taken_for_the_background(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"segmentation": [square(0, 0, 30, 20)], "category_id": 0},
        categories=[{"id": 0, "name": "dog"}],
    )

    assert coco_mask_categories(path) == (Category(0, "background"), Category(0, "dog"))
    assert (read(path)[area(0, 0, 30, 20)] == 1).all()


def test_what_has_no_outline_is_told_with_the_first_of_each(tmp_path: Path) -> None:
    content = coco(
        images=[
            {"id": 7, "file_name": "a.png", "width": WIDTH, "height": HEIGHT},
            {"id": 8, "file_name": "b.png"},
        ],
        annotations=[
            {"id": 1, "image_id": 7, "category_id": 90, "segmentation": [square(0, 0, 9, 9)]},
            {"id": 2, "image_id": 7, "category_id": 90, "bbox": [1, 2, 3, 4]},
            {"id": 3, "image_id": 7, "category_id": 90, "segmentation": []},
            {"id": 4, "image_id": 7, "category_id": 90, "segmentation": [[1, 2, 3, 4]]},
        ],
    )
    write_picture(tmp_path / "b.png", 6, 5)

    dataset = open_coco_masks(write_coco(tmp_path, content))

    assert dataset.notes == (
        "2 of 4 annotations have no outline and are left out; the first: annotation 2",
        "1 of 4 annotations have an outline of fewer than 3 points and are left out; the first:"
        " annotation 4",
        "1 of 2 pictures have no outline: all of them is background; the first: 'b.png'",
    )
    label = dataset.items[1].label
    assert isinstance(label, OutlinedMask)
    assert not label.read((5, 6), "b.png").any()


def test_no_outline_at_all_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no outline of an object \(1 annotation without `segmen"):
        open_coco_masks(write_coco(tmp_path, coco([(4, 6, 10, 12)])))
    with pytest.raises(DataError, match=r"no outline of an object: masks are made of these"):
        open_coco_masks(written(tmp_path))


def test_a_picture_of_another_size_than_the_labels_say_is_refused(tmp_path: Path) -> None:
    label = (
        open_coco_masks(written(tmp_path, {"segmentation": [square(0, 0, 9, 9)]})).items[0].label
    )

    assert isinstance(label, OutlinedMask)
    with pytest.raises(DataError, match=r"^a\.png: the picture is 41x30 pixels, .* for 40x30"):
        label.read((30, 41), "a.png")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"segmentation": [[1, 2, 3, 4, 5]]}, "a polygon with 5 numbers: give x and y"),
        ({"segmentation": [[1, 2, "3", 4, 5, 6]]}, "a polygon with '3' in it"),
        ({"segmentation": [[1, 2, True, 4, 5, 6]]}, "a polygon with True in it"),
        ({"segmentation": [[1, 2, None, 4, 5, 6]]}, "a polygon with"),
        ({"segmentation": [[1, 2, float("nan"), 4, 5, 6]]}, "a number that is not finite"),
        ({"segmentation": [[1, 2, float("inf"), 4, 5, 6]]}, "a number that is not finite"),
        ({"segmentation": [[1, 2, 10**400, 4, 5, 6]]}, "a number that is not finite"),
        ({"segmentation": [square(0, 0, 81, 9)]}, r"the point \(81, 0\), far outside .*40x30"),
        ({"segmentation": [square(0, -31, 9, 9)]}, r"the point \(0, -31\), far outside"),
        ({"segmentation": [[0, 0, 40, 30] * 50000]}, "100000 points, .* more than any object"),
        ({"segmentation": [1, 2, 3, 4, 5, 6]}, "neither a list of polygons"),
        ({"segmentation": "abc"}, "neither a list of polygons"),
        ({"segmentation": {"size": [30, 40], "counts": "ooo"}}, "end within a number"),
        ({"segmentation": {"size": [30, 40], "counts": [1200, 1]}}, "sum up to 1201"),
        ({"segmentation": {"size": [40, 30], "counts": [1200]}}, r"the size \[40, 30\]"),
        ({"segmentation": [square(0, 0, 9, 9)], "iscrowd": 2}, "iscrowd 2: give 0 or 1"),
        ({"category_id": 5}, "the category_id 5, which is not among"),
        ({"category_id": "dog"}, "the category_id 'dog': give a whole number"),
        ({"image_id": 8}, "is of the image_id 8, which is not among"),
    ],
)
def test_a_wrong_annotation_is_refused_by_its_number_before_anything_is_drawn(
    tmp_path: Path, entry: dict[str, Any], message: str
) -> None:
    path = written(tmp_path, {"segmentation": [square(0, 0, 9, 9)]}, entry)

    with pytest.raises(DataError, match=rf"labels\.json: annotation 101 .*{message}"):
        open_coco_masks(path)


def test_more_categories_than_8_bits_tell_apart_are_refused(tmp_path: Path) -> None:
    categories = [{"id": n, "name": str(n)} for n in range(1, 256)]
    path = written(tmp_path, {"segmentation": [square(0, 0, 9, 9)]}, categories=categories)

    with pytest.raises(DataError, match=r"255 categories; the classes of a mask are 0 to 254"):
        coco_mask_categories(path)

    path.write_text(json.dumps(json.loads(path.read_text()) | {"categories": categories[:-1]}))
    assert len(coco_mask_categories(path)) == 255


def test_without_pycocotools_polygons_are_refused_and_runs_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = area(3, 4, 10, 12)
    polygons = written(tmp_path / "a", {"segmentation": [square(3, 4, 10, 12)]})
    runs = written(tmp_path / "b", {"segmentation": runs_of(drawn, text=True)})

    monkeypatch.setitem(sys.modules, "pycocotools", None)

    assert np.array_equal(read(runs), np.where(drawn, CUP, 0))
    with pytest.raises(RequestError, match=r'pip install "intaglio\[detect\]"'):
        open_coco_masks(polygons)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # its own
def test_masks_of_the_data_pack_are_what_pycocotools_own_reader_paints(
    data_pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = data_pack / "coco128" / "instances.json"
    dataset, own = open_coco_masks(path), COCO(str(path))
    capsys.readouterr()
    ids = {image["file_name"]: number for number, image in own.imgs.items()}
    index_of = {category.number: n for n, category in enumerate(dataset.categories) if n}

    for item in list(dataset.items)[::9]:
        found = [(one, own.annToMask(one) > 0) for one in own.imgToAnns[ids[item.name]]]
        height, width = own.imgs[ids[item.name]]["height"], own.imgs[ids[item.name]]["width"]
        least = np.full((height, width), np.inf)
        expected = np.zeros((height, width), np.uint8)
        for one, drawn in found:
            if one["iscrowd"]:
                expected[drawn] = IGNORED
        for one, drawn in found:
            if not one["iscrowd"]:
                over = drawn & (drawn.sum() <= least)
                least[over], expected[over] = drawn.sum(), index_of[one["category_id"]]
        assert isinstance(item.label, OutlinedMask)
        assert np.array_equal(item.label.read((height, width), item.name), expected)
