"""Boxes in the form of YOLO: a text file a picture, a line a box, in shares of the picture's sides.

A line is `class cx cy w h`: the index of the class, the middle of the box and its sides, divided by
the picture's width and height; behind the class of an outline stand the x and y of each of its
points, and its box is the one around them. The labels of `.../images/.../a.jpg` are
`.../labels/.../a.txt`, by the last folder called images, or `a.txt` beside the picture.

Such a set is a folder with `images` and `labels`, or a `data.yaml` with `names` and, for each
split, a folder of pictures, a text file that lists them, or several of these.

Pixels are counted as the picture is stored; an orientation tag is not obeyed.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from intaglio.data.boxes_found import Box, Picture, Wording, dataset_of, picture
from intaglio.data.dataset import Dataset, FileSource
from intaglio.data.decode import IMAGE_ENDINGS
from intaglio.data.label_files import counted, files_below, finite, header_size, read_lines
from intaglio.data.truth import Category
from intaglio.data.yolo_yaml import checked_names, described, named, root_of
from intaglio.errors import DataError

LARGEST_BYTES = 2**26
"""Of one text file; a list of a million pictures is smaller."""
MOST_UNNAMED = 10_000
"""Classes without names: no more can be meant."""
IMAGES, LABELS, NAMES = "images", "labels", "classes.txt"
_WORDING = Wording(
    "crowds", "check the labels, whose numbers are shares of the picture's sides, from 0 to 1"
)


@dataclass(frozen=True)
class _Listed:
    """A picture that was found.

    Attributes:
        name: Below the root of its set.
        file: Where it is.
        labels: Its text file; None where it has none.
    """

    name: str
    file: Path
    labels: Path | None


@dataclass(frozen=True)
class _Found:
    """A set before its labels are read.

    Attributes:
        path: What the user named.
        listed: Its pictures.
        names: Of its classes; None where nothing tells them.
    """

    path: Path
    listed: tuple[_Listed, ...]
    names: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Share:
    """A line of labels.

    Attributes:
        line: Its number in the file, from 1.
        index: Of the class.
        edges: left, top, right, bottom, in shares of the picture's sides.
    """

    line: int
    index: int
    edges: tuple[float, float, float, float]


def is_yolo(path: Path) -> bool:
    """Whether this is a data.yaml (`data.yaml:train`: a split of it), or a folder of YOLO's form.

    A folder needs text files and no images below `labels`: else it may be one of class folders.
    """
    if not os.path.isdir(path):
        return named(path) is not None
    if not all(os.path.isdir(path / part) for part in (IMAGES, LABELS)):
        return False
    text, image = (files_below(path / LABELS, endings) for endings in ((".txt",), IMAGE_ENDINGS))
    return next(text, None) is not None and next(image, None) is None


def yolo_categories(path: Path) -> tuple[Category, ...]:
    """Return the categories by index; without names their numbers, up to the largest one used.

    Raises:
        DataError: As `open_yolo`, of the names and, where there are none, of the labels.
        RequestError: As `open_yolo`.
    """
    if not os.path.isdir(path):
        return _categories(described(_yaml(path)[0]).names)
    names = _folder_names(path)
    if names is not None:
        return _categories(names)
    found = _folder(path)
    return _categories(_numbers(_shares(found)))


def open_yolo(path: Path) -> Dataset:
    """Return the pictures of a folder, sorted, or those of a split of a data.yaml.

    A data.yaml without a split means `val`, else `test`, else `train`. Headers of all pictures are
    read: the labels need their sizes. A picture without a text file has no boxes, which is told.

    Raises:
        DataError: Naming file, line and value: if the yaml is broken or names what is not there, a
            line has not the numbers that it needs, a class has no name, a side is negative; if a
            picture cannot be read, labels have no picture, or there is no box at all.
        RequestError: If PyYAML is not installed.
    """
    found = _folder(path) if os.path.isdir(path) else _split(path)
    shares = _shares(found)
    categories = _categories(found.names or _numbers(shares))
    pictures = [_picture(*pair) for pair in zip(found.listed, shares, strict=True)]
    return dataset_of(path, pictures, categories, wording=_WORDING, notes=_notes(found))


def _categories(names: Sequence[str]) -> tuple[Category, ...]:
    return tuple(Category(index, name) for index, name in enumerate(names))


def _numbers(shares: Sequence[Sequence[Share]]) -> tuple[str, ...]:
    largest = max((share.index for share in itertools.chain(*shares)), default=-1)
    return tuple(map(str, range(largest + 1)))


def _folder_names(path: Path) -> tuple[str, ...] | None:
    for file in (path / NAMES, path / LABELS / NAMES):
        if os.path.isfile(file):
            return checked_names(file, [name for _, name in read_lines(file, LARGEST_BYTES)])
    return None


def _folder(path: Path) -> _Found:
    root = path.absolute()
    files = list(files_below(root / IMAGES, IMAGE_ENDINGS))
    return _found(path, root / IMAGES, files, folders=[root / IMAGES], names=_folder_names(path))


def _split(path: Path) -> _Found:
    file, wanted = _yaml(path)
    content = described(file)
    split, root = content.split(wanted), root_of(content)
    files: list[Path] = []
    folders = []
    for text in content.places[split]:
        # exported sets say ../train/images where they mean train/images
        places = [root / text, root / text.removeprefix("../")]
        place = next((place for place in places if os.path.exists(place)), None)
        if place is None:
            raise DataError(
                f"{file}: there is no '{text}', which it names for '{split}', in {root};"
                f" correct it, or `path`, which is relative to {file.absolute().parent}"
            )
        if os.path.isdir(place):
            folders.append(place)
            files += files_below(place, IMAGE_ENDINGS)
        else:
            files += _listed_in(place, root)
    return _found(path, root, files, folders=folders, names=content.names)


def _yaml(path: Path) -> tuple[Path, str | None]:
    found = named(path)
    if found is None:
        raise DataError(f"{path}: no data.yaml and no folder of {IMAGES} and {LABELS}")
    return found


def _listed_in(file: Path, root: Path) -> list[Path]:
    """Return the pictures that a text file lists, from its own folder or from the root."""
    lines = read_lines(file, LARGEST_BYTES)
    files = []
    missing = []
    for line, text in lines:
        places = [file.parent / text, root / text]
        place = next((place for place in places if os.path.isfile(place)), None)
        if place is None:
            missing.append((line, text))
        else:
            files.append(place)
    if missing:
        raise DataError(
            f"{file}: line {missing[0][0]}: there is no picture '{missing[0][1]}' in {file.parent}"
            f" or {root} ({len(missing)} of {counted(len(lines), 'picture')} are missing)"
        )
    return files


def _found(
    path: Path,
    root: Path,
    files: Sequence[Path],
    *,
    folders: Sequence[Path],
    names: tuple[str, ...] | None,
) -> _Found:
    """Return the pictures with their labels; none is there twice, and labels have their picture."""
    listed: dict[str, _Listed] = {}
    for file in files:
        name = file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)
        if name in listed:
            raise DataError(f"{path}: the picture '{name}' is there twice; remove one of them")
        listed[name] = _Listed(name, file, _labels_of(file))
    used = {one.labels for one in listed.values() if one.labels is not None}
    for folder in folders:
        _check_all_used(folder, used)
    if listed and not used:
        first = next(iter(listed.values())).file
        raise DataError(
            f"{path}: none of the {counted(len(listed), 'picture')} has labels: looked for"
            f" {_twin(first).with_suffix('.txt')} and for a text file beside the picture"
        )
    return _Found(path, tuple(listed.values()), names)


def _labels_of(file: Path) -> Path | None:
    places = (_twin(file).with_suffix(".txt"), file.with_suffix(".txt"))
    return next((place for place in places if os.path.isfile(place)), None)


def _twin(place: Path) -> Path:
    """Return the place of the labels: the last folder called images is called labels there."""
    parts = list(place.parts)
    if IMAGES not in parts:
        return place
    last = len(parts) - 1 - parts[::-1].index(IMAGES)
    return Path(*parts[:last], LABELS, *parts[last + 1 :])


def _check_all_used(folder: Path, used: set[Path]) -> None:
    labels = _twin(folder)
    if labels == folder or not os.path.isdir(labels):
        return
    there = [file for file in files_below(labels, (".txt",)) if file.name != NAMES]
    lost = [file for file in there if file not in used]
    if lost:
        raise DataError(
            f"{lost[0]}: there is no picture of this name in {folder} ({len(lost)} of"
            f" {counted(len(there), 'file')} of labels have none); add the pictures or remove them"
        )


def _shares(found: _Found) -> list[list[Share]]:
    return [[] if one.labels is None else _read(one.labels, found.names) for one in found.listed]


def _read(file: Path, names: Sequence[str] | None) -> list[Share]:
    return [share_of(file, line, text, names) for line, text in read_lines(file, LARGEST_BYTES)]


def share_of(file: Path, line: int, text: str, names: Sequence[str] | None) -> Share:
    """Return what one line of labels says.

    Args:
        file: It is in, for messages.
        line: Its number, from 1.
        text: The line.
        names: Of the classes; None where nothing tells them.

    Raises:
        DataError: Naming file, line and value.
    """
    fields = text.split()
    numbers = [number for number in map(finite, fields) if number is not None]
    if len(numbers) != len(fields):
        wrong = next(one for one in fields if finite(one) is None)
        raise DataError(f"{file}: line {line}: '{wrong}' is no finite number")
    if len(numbers) != 5 and (len(numbers) < 7 or len(numbers) % 2 == 0):
        raise DataError(
            f"{file}: line {line} has {counted(len(numbers), 'number')}: give class cx cy w h, or"
            " class and the x and y of three points or more"
        )
    index = _index(file, line, fields[0], names)
    if len(numbers) > 5:
        across, down = numbers[1::2], numbers[2::2]
        return Share(line, index, (min(across), min(down), max(across), max(down)))
    _, middle_x, middle_y, width, height = numbers
    if width < 0 or height < 0:
        raise DataError(f"{file}: line {line}: the sides {width} and {height} must not be negative")
    left, top = middle_x - width / 2, middle_y - height / 2
    return Share(line, index, (left, top, middle_x + width / 2, middle_y + height / 2))


def _index(file: Path, line: int, text: str, names: Sequence[str] | None) -> int:
    number = finite(text)
    if number is None or number < 0 or not number.is_integer():
        raise DataError(f"{file}: line {line}: the class '{text}' is no index from 0 on")
    count = MOST_UNNAMED if names is None else len(names)
    if number >= count:
        there = (
            f"{count} names, 0 to {count - 1}" if names else f"no more than {count} without names"
        )
        raise DataError(f"{file}: line {line}: the class {int(number)} is none: there are {there}")
    return int(number)


def _picture(listed: _Listed, shares: Sequence[Share]) -> Picture:
    source = FileSource(str(listed.file))
    height, width = header_size(source)
    boxes = []
    for share in shares:
        left, top, right, bottom = share.edges
        edges = (left * width, top * height, right * width, bottom * height)
        boxes.append(Box(f"line {share.line}", edges, share.index))
    return picture(listed.name, source, (height, width), boxes)


def _notes(found: _Found) -> list[str]:
    without = [one.name for one in found.listed if one.labels is None]
    if not without:
        return []
    return [
        f"{len(without):,} of {counted(len(found.listed), 'picture')} have no file of labels and"
        f" count as empty; the first: '{without[0]}'"
    ]
