"""A small JSON file that says where pictures and masks are, and what their classes are called.

    {"images": "val", "masks": "valannot", "classes": ["sky", "building"], "ignore": [11]}

The folders are relative to the file. `classes`, by index, and `ignore`, indices of pixels that
count for nothing, may be left out; 255 is always ignored. Where masks have other numbers than
indices, `values` has that of each class, such as [0, 255]; `ignore` then names such numbers too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from intaglio.data.label_files import file_bytes
from intaglio.data.mask import IGNORED
from intaglio.data.mask_folder import MaskFolders, checked_names
from intaglio.errors import DataError

NAME = "masks.json"
LARGEST_BYTES = 2**20
_PARTS = ("images", "masks", "classes", "ignore", "values")


def is_mask_description(path: Path) -> bool:
    """Whether the file is one by its name, and has not the annotations of COCO's form."""
    if not path.name.lower().endswith(NAME) or not os.path.isfile(path):
        return False
    if path.name.lower() == NAME:
        return True
    try:
        content = json.loads(file_bytes(path, LARGEST_BYTES))
    except (DataError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "annotations" not in content and "masks" in content


def described_masks(path: Path) -> MaskFolders:
    """Return what a description says.

    Raises:
        DataError: Naming file and value: if it is no JSON, lacks a part, has an unknown one, names
            a folder that is not there, or an index that is none.
    """
    content = _read(path)
    unknown = [part for part in content if part not in _PARTS]
    if unknown:
        raise DataError(f"{path}: '{unknown[0]}' is not known; known are {', '.join(_PARTS)}")
    images, masks = (_folder(path, content.get(part), part) for part in _PARTS[:2])
    names, ignored = _names(path, content), _numbers(path, content, "ignore")
    values = _values(path, content, names, ignored)
    return MaskFolders(path, images, masks, names, ignored, values=values)


def _read(path: Path) -> Mapping[str, object]:
    try:
        content = json.loads(file_bytes(path, LARGEST_BYTES).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}); correct it") from error
    if not isinstance(content, dict):
        raise DataError(f'{path}: it holds no object such as {{"images": "val", "masks": "annot"}}')
    return content


def _folder(path: Path, value: object, part: str) -> Path:
    if not isinstance(value, str) or not value:
        raise DataError(f"{path}: {part} is {value!r}: give a folder, relative to the file")
    folder = path.absolute().parent / value
    if "\0" in value or not os.path.isdir(folder):
        raise DataError(f"{path}: {part} is '{value}', but there is no folder {folder}")
    return folder


def _names(path: Path, content: Mapping[str, object]) -> tuple[str, ...]:
    names = content.get("classes", [])
    if not isinstance(names, list) or not all(isinstance(n, str) and n.strip() for n in names):
        raise DataError(f"{path}: classes is {names!r}: give a list of names, by index")
    return checked_names(path, names)


def _numbers(path: Path, content: Mapping[str, object], part: str) -> tuple[int, ...]:
    numbers = content.get(part, [])
    if not isinstance(numbers, list) or not all(
        type(number) is int and 0 <= number <= IGNORED for number in numbers
    ):
        raise DataError(f"{path}: {part} is {numbers!r}: give a list of whole numbers, 0 to 255")
    return tuple(numbers)


def _values(
    path: Path, content: Mapping[str, object], names: Sequence[str], ignored: Sequence[int]
) -> tuple[int, ...]:
    values = _numbers(path, content, "values")
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise DataError(f"{path}: values has {twice} twice; each class has a number of its own")
    both = next((value for value in values if value in ignored), None)
    if both is not None:
        raise DataError(f"{path}: {both} is in values and in ignore; take it out of one of them")
    if len(values) > IGNORED:
        raise DataError(f"{path}: values has {len(values)} classes; there are {IGNORED} at most")
    if values and names and len(values) != len(names):
        raise DataError(
            f"{path}: values has {len(values)} numbers, and there are {len(names)} classes; give"
            " the number of each class, by index"
        )
    return values
