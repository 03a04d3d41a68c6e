"""A folder as a data set: images directly in it (no labels), or one folder for each class.

Class folders get the indices 0, 1, ... in the sorted order of their names (by Unicode code point,
as torchvision's ImageFolder does), also when the names are numbers: "10" comes before "9". An empty
class folder keeps its index. Files with other endings than images have, and names that begin with a
dot, are not data and not looked at.
"""

from __future__ import annotations

import os
from pathlib import Path

from intaglio.data.dataset import Dataset, FileSource, Item
from intaglio.data.decode import IMAGE_ENDINGS
from intaglio.errors import DataError


def open_folder(path: Path) -> Dataset:
    """Return the images of a folder: by class, then by relative path.

    Raises:
        DataError: If it cannot be read, has no image, or has images both directly and in folders.
    """
    direct = [path / name for name in _image_names(path)]
    folders = class_folders(path)
    if direct:
        in_folders = next((file for folder in folders for file in _images_below(folder)), None)
        if in_folders is not None:
            raise DataError(
                f"{path}: has images of its own ('{direct[0].name}') and images in folders"
                f" ('{in_folders.relative_to(path)}'), so it is unclear whether the folders are"
                f" classes; move one or the other out"
            )
        items = [Item(file.name, None, FileSource(str(file))) for file in direct]
    else:
        items = [
            Item(file.relative_to(path).as_posix(), index, FileSource(str(file)))
            for index, folder in enumerate(folders)
            for file in _images_below(folder)
        ]
    if not items:
        raise DataError(
            f"{path}: no image found in the folder or its class folders;"
            f" looked for files ending with {' '.join(IMAGE_ENDINGS)}"
        )
    return Dataset(path.resolve().name, path, items)


def class_folders(path: Path) -> list[Path]:
    """Return the folders directly in `path`, hidden ones left out, in the order of their indices.

    Raises:
        DataError: If the folder cannot be read.
    """
    return [path / name for name in _visible_names(path) if (path / name).is_dir()]


def _visible_names(path: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(path) if not name.startswith("."))
    except OSError as error:
        raise DataError(f"{path}: the folder cannot be read: {error.strerror}") from error


def _image_names(path: Path) -> list[str]:
    return [
        name
        for name in _visible_names(path)
        if name.lower().endswith(IMAGE_ENDINGS) and not (path / name).is_dir()
    ]


def _images_below(path: Path) -> list[Path]:
    """Return the images in a folder, then those in its folders; links to folders are not followed.

    A link could lead back up and never end.
    """
    files = [path / name for name in _image_names(path)]
    for folder in class_folders(path):
        if not folder.is_symlink():
            files += _images_below(folder)
    return files
