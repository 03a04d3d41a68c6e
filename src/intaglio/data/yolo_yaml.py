"""The `data.yaml` of a set of YOLO's form: where its splits lie, and the names of its classes.

Keys: `names`, a list or a mapping from index to name; or `nc`, their number, where classes have
none; `train`, `val`, `test`: pictures; `path`: the folder from which those are named, relative to
the yaml's own, which is also meant where it is left out. Nothing else is looked at or run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from intaglio.data.label_files import file_bytes
from intaglio.errors import DataError, RequestError, cause

ENDINGS = (".yaml", ".yml")
SPLITS = ("val", "test", "train")
"""The one that is meant where none is named is the first that there is."""
LARGEST_BYTES = 2**24
MOST_CLASSES = 100_000


@dataclass(frozen=True)
class Described:
    """What a data.yaml says.

    Attributes:
        file: The yaml.
        root: Its `path`; "" where it has none.
        names: Of the classes, by index.
        places: Folders and lists of pictures, by split.
    """

    file: Path
    root: str
    names: tuple[str, ...]
    places: Mapping[str, tuple[str, ...]]

    def split(self, wanted: str | None) -> str:
        """Return the name of a split: the wanted one, or the one that is meant.

        Raises:
            DataError: If there is none of this name, or none at all.
        """
        if wanted is None and self.places:
            return next(split for split in SPLITS if split in self.places)
        if wanted is None or wanted not in self.places:
            there = ", ".join(self.places) or "none of train, val and test"
            asked = f"no split '{wanted}'" if wanted is not None else "no pictures"
            raise DataError(f"{self.file}: {asked}; it has {there}")
        return wanted


def named(path: Path) -> tuple[Path, str | None] | None:
    """Return the yaml and the split that a path such as `data.yaml:train` names; None: no yaml.

    The split is None where the path names none.
    """
    if path.suffix.lower() in ENDINGS and os.path.isfile(path):
        return path, None
    name, colon, split = path.name.rpartition(":")
    file = path.parent / name
    if colon and file.suffix.lower() in ENDINGS and os.path.isfile(file):
        return file, split
    return None


def described(file: Path) -> Described:
    """Return what a data.yaml says.

    Raises:
        DataError: If it cannot be read, or what it says has another form than above.
        RequestError: If PyYAML is not installed.
    """
    content = _content(file)
    if not isinstance(content, dict):
        raise DataError(f"{file}: not a data.yaml: it holds no keys such as names, train and val")
    root = content.get("path")
    if root is not None and not isinstance(root, str):
        raise DataError(f"{file}: the path is {_told(root)}: give the name of a folder")
    given = [split for split in SPLITS if content.get(split) is not None]
    places = {split: _places(file, split, content[split]) for split in given}
    return Described(file, root or "", _names(file, content), places)


def root_of(content: Described) -> Path:
    """Return the folder from which pictures are named.

    Raises:
        DataError: If it is not there.
    """
    folder = content.file.absolute().parent
    root = folder / content.root
    if not os.path.isdir(root):
        raise DataError(
            f"{content.file}: there is no folder '{content.root}', its `path`, in {folder};"
            " correct it, or leave it out where the yaml lies beside its pictures"
        )
    return root


def checked_names(file: Path, names: Sequence[object]) -> tuple[str, ...]:
    """Return names of classes as texts.

    Raises:
        DataError: If there is none, or one is neither a text nor a number.
    """
    if not names:
        raise DataError(f"{file}: it names no class")
    for index, name in enumerate(names):
        if isinstance(name, bool) or not isinstance(name, str | int) or not str(name).strip():
            raise DataError(
                f"{file}: the name of class {index} is {_told(name)}: write it in quotes (YAML"
                " reads yes, no, on and off as truth values)"
            )
    return tuple(str(name).strip() for name in names)


def _content(file: Path) -> object:
    try:
        import yaml
    except ImportError as error:
        raise RequestError(
            f"{file}: reading it needs the package PyYAML ({cause(error)}): pip install"
            " 'intaglio[detect]', or give the folder that holds its images and labels"
        ) from error
    try:
        return yaml.safe_load(file_bytes(file, LARGEST_BYTES).decode("utf-8-sig"))
    # an unclosed list of a million lists, a date that is none, a key that cannot be one
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{file}: cannot be read as YAML ({cause(error)}); correct it") from error


def _places(file: Path, split: str, value: object) -> tuple[str, ...]:
    places = value if isinstance(value, list) else [value]
    if not places or not all(isinstance(place, str) and place for place in places):
        raise DataError(
            f"{file}: '{split}' is {_told(value)}: give a folder of pictures, a text file that"
            " lists them, or a list of these"
        )
    return tuple(places)


def _names(file: Path, content: Mapping[object, object]) -> tuple[str, ...]:
    names, count = content.get("names"), content.get("nc")
    if count is not None and not (type(count) is int and 0 < count <= MOST_CLASSES):
        raise DataError(f"{file}: nc is {_told(count)}: give the number of classes")
    if names is None and isinstance(count, int):
        return tuple(map(str, range(count)))
    if isinstance(names, dict):
        missing = [index for index in range(len(names)) if index not in names]
        if missing:
            raise DataError(
                f"{file}: names lacks the index {missing[0]}; {len(names)} names need the indices"
                f" 0 to {len(names) - 1}"
            )
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, list):
        raise DataError(f"{file}: names is {_told(names)}: give the names of the classes by index")
    if count is not None and count != len(names):
        raise DataError(f"{file}: nc is {count}, but there are {len(names)} names; correct one")
    return checked_names(file, names)


def _told(value: object) -> str:
    return "missing" if value is None else repr(value)[:80]
