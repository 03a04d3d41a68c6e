"""Boxes in the form of COCO: one JSON file with `images`, `annotations` and `categories`.

Source: the format as https://cocodataset.org/#format-data states it. A `bbox` is left, top, width,
height in pixels, its corner counted from 0. Outlines, keypoints and captions are not looked at.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from intaglio.data.boxes_found import (
    Box,
    Wording,
    counted,
    dataset_of,
    finite,
    header_size,
    whole_sides,
)
from intaglio.data.boxes_found import picture as picture_of
from intaglio.data.dataset import Dataset, FileSource
from intaglio.data.truth import Category
from intaglio.errors import DataError

ENDING = ".json"
_WORDING = Wording("crowds", "give the file that has the annotations of these pictures")
_PARTS = ("images", "annotations", "categories")
Entry = Mapping[str, object]


@dataclass(frozen=True)
class _Image:
    """One of `images`.

    Attributes:
        name: Its `file_name`.
        file: Where it lies.
        size: (height, width); None where the labels do not say it.
    """

    name: str
    file: str
    size: tuple[int, int] | None


def is_coco(path: Path) -> bool:
    """Whether the file may be one of COCO's form: nothing else here ends so."""
    return path.suffix.lower() == ENDING and os.path.isfile(path)


def coco_categories(path: Path) -> tuple[Category, ...]:
    """Return the categories by rising id, which is the order of their indices.

    Raises:
        DataError: If the file is no JSON of COCO's form, an id is there twice or is no whole
            number.
    """
    return _categories(path, _read(path))


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
    parts = _read(path)
    categories = _categories(path, parts)
    index_of = {category.number: index for index, category in enumerate(categories)}
    images = _images(path, parts["images"])
    boxes: dict[int, list[Box]] = defaultdict(list)
    for place, entry in enumerate(parts["annotations"]):
        where = f"annotation {entry.get('id', f'number {place + 1}')}"
        number = _whole(path, entry, "image_id", where)
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


def _read(path: Path) -> dict[str, list[Entry]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}); give a COCO file") from error
    if not isinstance(content, dict):
        raise DataError(
            f"{path}: not of COCO's form: it holds a {type(content).__name__}, not images,"
            " annotations and categories (a list of detections is no data set)"
        )
    for part in _PARTS:
        entries = content.get(part)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            there = ", ".join(map(str, list(content)[:8])) or "nothing"
            raise DataError(
                f"{path}: not labels of COCO's form: '{part}' must be a list of objects (the file"
                f" has {there}); a file of images alone has no labels: give those with annotations"
            )
    return {part: content[part] for part in _PARTS}


def _categories(path: Path, parts: Mapping[str, list[Entry]]) -> tuple[Category, ...]:
    names: dict[int, str] = {}
    for place, entry in enumerate(parts["categories"]):
        where = f"category number {place + 1}"
        number, name = _whole(path, entry, "id", where), entry.get("name")
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"{path}: the category {number} has the name {name!r}: give it a text")
        if number in names:
            raise DataError(
                f"{path}: the category id {number} is there twice: '{names[number]}' and '{name}'"
            )
        names[number] = name
    if not names:
        raise DataError(f"{path}: it has no categories; add those of its annotations")
    return tuple(Category(number, names[number]) for number in sorted(names))


def _images(path: Path, entries: Sequence[Entry]) -> dict[int, _Image]:
    """Return the images by id, in their order; all of them are there."""
    folders = _folders(path)
    images: dict[int, _Image] = {}
    ids: dict[str, int] = {}
    missing = []
    for place, entry in enumerate(entries):
        number = _whole(path, entry, "id", f"image number {place + 1}")
        name = entry.get("file_name")
        if not isinstance(name, str) or not name:
            raise DataError(f"{path}: the image {number} has the file_name {name!r}: give a text")
        if number in images:
            raise DataError(f"{path}: the image id {number} is there twice; the second is '{name}'")
        if name in ids:
            raise DataError(f"{path}: the images {ids[name]} and {number} are both '{name}'")
        ids[name] = number
        file = _found(name, folders)
        if file is None:
            missing.append(name)
        images[number] = _Image(name, file or name, _size(path, entry, number))
    if missing:
        raise DataError(
            f"{path}: there is no picture '{missing[0]}' ({len(missing)} of"
            f" {counted(len(entries), 'picture')} are missing); looked in"
            f" {', '.join(dict.fromkeys(map(str, folders)))}"
        )
    return images


def _folders(path: Path) -> list[Path]:
    """Return where pictures are looked for; COCO's own files lie in `annotations` beside them."""
    folder = path.absolute().parent
    stems = dict.fromkeys((path.stem, path.stem.rpartition("_")[2]))
    named = [Path(*parts, stem) for stem in stems for parts in ((), ("images",)) if stem]
    return [
        folder,
        folder / "images",
        *(folder / name for name in named),
        *(folder.parent / name for name in named),
    ]


def _found(name: str, folders: Sequence[Path]) -> str | None:
    files = (os.path.join(folder, name) for folder in folders)
    return next((file for file in files if os.path.isfile(file)), None)


def _size(path: Path, entry: Entry, number: int) -> tuple[int, int] | None:
    sides = [entry.get("height"), entry.get("width")]
    if any(side is None or side == 0 for side in sides):
        return None
    size = whole_sides(sides)
    if size is None:
        raise DataError(
            f"{path}: the image {number} has the height {sides[0]!r} and the width {sides[1]!r}:"
            " give whole pixels, or leave both out"
        )
    return size


def _box(path: Path, entry: Entry, where: str, index_of: Mapping[int, int]) -> Box:
    category = _whole(path, entry, "category_id", where)
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


def _whole(path: Path, entry: Entry, key: str, where: str) -> int:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(f"{path}: {where} has the {key} {value!r}: give a whole number")
    return value
