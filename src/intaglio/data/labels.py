"""The names of a data set's classes, where something beside it tells them.

A tree of class folders has its folder names; a manifest has `classes.csv` beside it, with the
columns `class_index,name`; a parquet file or tar shards have `classes.json` beside them, a list of
names; boxes and masks have those of their categories.
"""

from __future__ import annotations

import json
from pathlib import Path

from intaglio.data.box_sets import box_categories
from intaglio.data.dataset import Dataset
from intaglio.data.folder import class_folders, open_folder
from intaglio.data.guard import refuse_if_forbidden
from intaglio.data.mask_sets import mask_categories
from intaglio.data.shard_names import ENDING, shards_in
from intaglio.data.table import parse_class_index, read_table
from intaglio.errors import DataError


def class_names(path: str | Path) -> list[str] | None:
    """Return the class names of the data set at `path`, by index, or None if nothing tells them.

    Raises:
        DataError: If the file of names is there but broken: fix or remove it; if labels of boxes
            or masks are.
    """
    refuse_if_forbidden(str(path))
    path = Path(path)
    categories = mask_categories(path)
    if categories is None:
        categories = box_categories(path)
    if categories is not None:
        return [category.name for category in categories] or None
    if path.is_dir() and shards_in(path):
        file = path / "classes.json"
        return _names_from_json(file) if file.is_file() else None
    if path.is_dir():
        has_classes = open_folder(path).labelled
        return [folder.name for folder in class_folders(path)] if has_classes else None
    ending = path.suffix.lower()
    if ending == ".csv" and (path.parent / "classes.csv").is_file():
        return _names_from_csv(path.parent / "classes.csv")
    if ending in (".parquet", ENDING) and (path.parent / "classes.json").is_file():
        return _names_from_json(path.parent / "classes.json")
    return None


def names_of(dataset: Dataset) -> tuple[str, ...]:
    """Return the class names of a data set that was opened, by index; () if nothing tells them.

    Those of boxes and masks are known by then: their files are not read again.

    Raises:
        DataError: As `class_names`.
    """
    if dataset.categories:
        return tuple(category.name for category in dataset.categories)
    return tuple(class_names(dataset.path) or ())


def _names_from_csv(path: Path) -> list[str]:
    names: dict[int, str] = {}
    for row in read_table(path, ("class_index", "name")):
        index = parse_class_index(path, row)
        if index in names:
            raise DataError(f"{path}: line {row.line}: class_index {index} is there twice")
        names[index] = row.fields["name"].strip()
    missing = next((index for index in range(len(names)) if index not in names), None)
    if missing is not None:
        raise DataError(
            f"{path}: class_index {missing} is missing; {len(names)} names need the indices"
            f" 0 to {len(names) - 1}"
        )
    return [names[index] for index in range(len(names))]


def _names_from_json(path: Path) -> list[str]:
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}); fix or remove it") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f'{path}: must be a list of class names such as ["cat", "dog"]')
    return list(names)
