"""A CSV manifest as a data set: columns `file` and, where there are labels, `class_index`."""

from __future__ import annotations

from pathlib import Path

from intaglio.data.dataset import Dataset, FileSource, Item
from intaglio.data.table import parse_class_index, read_table
from intaglio.errors import DataError


def open_manifest(path: Path) -> Dataset:
    """Return the images of a manifest in its order; other columns are not looked at.

    A file is relative to the manifest's folder or absolute, and may lie outside of that folder:
    the manifest is the user's own. Each must exist; none is opened.

    Raises:
        DataError: Naming the line, if the table is broken, a file is missing or an index is wrong.
    """
    items = []
    for row in read_table(path, ("file",), optional=("class_index",)):
        name = row.fields["file"].strip()
        label = parse_class_index(path, row) if "class_index" in row.fields else None
        file = path.parent / name
        if not name or not _is_file(file):
            raise DataError(
                f"{path}: line {row.line}: there is no file '{name}' in {path.parent};"
                f" files are relative to the manifest"
            )
        items.append(Item(name, label, FileSource(str(file))))
    return Dataset(path.name, path, items)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long for the system, or with a NUL in it
        return False
