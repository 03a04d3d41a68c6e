"""Boxes in the form of COCO: one JSON file with `images`, `annotations` and `categories`.

Source: the format as https://cocodataset.org/#format-data states it. A `bbox` is left, top, width,
height in pixels, its corner counted from 0. Outlines, keypoints and captions are not looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from intaglio.data.boxes_found import Box, Wording, dataset_of
from intaglio.data.boxes_found import picture as picture_of
from intaglio.data.coco_file import (
    Entry,
    categories_of,
    images_of,
    read_coco,
    whole_number,
)
from intaglio.data.dataset import Dataset, FileSource
from intaglio.data.label_files import finite, header_size
from intaglio.errors import DataError

_WORDING = Wording("crowds", "give the file that has the annotations of these pictures")


def open_coco(path: Path) -> Dataset:
    """Return the pictures of a COCO file in the order of its `images`; those without boxes stay.

    A picture is looked for by its `file_name`: in the file's folder, in `images` beside it, and in
    the folder that the file's name ends with (instances_val2017.json: val2017) beside it or a
    folder above, alone or in `images`. `area` is taken where it is above 0, else it is the
    box's; boxes with `iscrowd` are crowds.

    Raises:
        DataError: Naming the entry and its value: if the file is no JSON of COCO's form, an id is
            not known or there twice, a number is not finite, a side of a box is negative, a
            picture is missing, or there is no box at all.
    """
    parts = read_coco(path)
    categories = categories_of(path, parts)
    index_of = {category.number: index for index, category in enumerate(categories)}
    images = images_of(path, parts["images"])
    boxes: dict[int, list[Box]] = defaultdict(list)
    for place, entry in enumerate(parts["annotations"]):
        where = f"annotation {entry.get('id', f'number {place + 1}')}"
        number = whole_number(path, entry, "image_id", where)
        if number not in images:
            raise DataError(
                f"{path}: {where} is of the image_id {number}, which is not among the images;"
                " add the image or remove the annotation"
            )
        boxes[number].append(_box(path, entry, where, index_of))
    pictures = []
    for number, image in images.items():
        source = FileSource(image.file)
        size = image.size or header_size(source)
        pictures.append(picture_of(image.name, source, size, boxes[number]))
    return dataset_of(path, pictures, categories, wording=_WORDING)


def _box(path: Path, entry: Entry, where: str, index_of: Mapping[int, int]) -> Box:
    category = whole_number(path, entry, "category_id", where)
    if category not in index_of:
        raise DataError(
            f"{path}: {where} has the category_id {category}, which is not among the categories;"
            " add the category or correct the annotation"
        )
    bbox = entry.get("bbox")
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise DataError(f"{path}: {where} has the bbox {bbox!r}: give [left, top, width, height]")
    left, top, width, height = (_number(path, value, where, "bbox") for value in bbox)
    if width < 0 or height < 0:
        raise DataError(f"{path}: {where} has the bbox {bbox}, with a negative width or height")
    crowd = entry.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise DataError(f"{path}: {where} has iscrowd {crowd!r}: give 0 or 1")
    area = _number(path, entry["area"], where, "area") if entry.get("area") is not None else 0.0
    edges = (left, top, left + width, top + height)
    return Box(where, edges, index_of[category], bool(crowd), area if area > 0 else None)


def _number(path: Path, value: object, where: str, what: str) -> float:
    number = None if isinstance(value, str) else finite(value)
    if number is None:
        raise DataError(f"{path}: {where} has {value!r} in its {what}: give finite numbers")
    return number
