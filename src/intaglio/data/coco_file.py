"""A file of COCO's form: one JSON object with `images`, `annotations` and `categories`.

Source: the format as https://cocodataset.org/#format-data states it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from intaglio.data.label_files import counted, whole_sides
from intaglio.data.truth import Category
from intaglio.errors import DataError

ENDING = ".json"
_PARTS = ("images", "annotations", "categories")
Entry = Mapping[str, object]


@dataclass(frozen=True)
class CocoImage:
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
    return categories_of(path, read_coco(path))


def read_coco(path: Path) -> dict[str, list[Entry]]:
    """Return the three parts of a file.

    Raises:
        DataError: If it is no JSON of COCO's form.
    """
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


def categories_of(path: Path, parts: Mapping[str, list[Entry]]) -> tuple[Category, ...]:
    """Return the categories by rising id.

    Raises:
        DataError: If an id is there twice or is no whole number, a name is none, or there are none.
    """
    names: dict[int, str] = {}
    for place, entry in enumerate(parts["categories"]):
        where = f"category number {place + 1}"
        number, name = whole_number(path, entry, "id", where), entry.get("name")
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


def images_of(path: Path, entries: Sequence[Entry]) -> dict[int, CocoImage]:
    """Return the images by id, in their order; all of them are there.

    Raises:
        DataError: If an id or a name is there twice or is none, or a picture is missing.
    """
    folders = _folders(path)
    images: dict[int, CocoImage] = {}
    ids: dict[str, int] = {}
    missing = []
    for place, entry in enumerate(entries):
        number = whole_number(path, entry, "id", f"image number {place + 1}")
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
        images[number] = CocoImage(name, file or name, _size(path, entry, number))
    if missing:
        raise DataError(
            f"{path}: there is no picture '{missing[0]}' ({len(missing)} of"
            f" {counted(len(entries), 'picture')} are missing); looked in"
            f" {', '.join(dict.fromkeys(map(str, folders)))}"
        )
    return images


def whole_number(path: Path, entry: Entry, key: str, where: str) -> int:
    """Return a whole number of an entry; raise DataError if it is none."""
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(f"{path}: {where} has the {key} {value!r}: give a whole number")
    return value


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
