"""Pictures and masks that are PNG files, in the folders that such sets come in.

1. `X` beside `Xannot`: pictures directly in X, the mask of X/a.jpg is Xannot/a.png (CamVid).
2. `images` and one of `masks`, `labels`, `annotations` in one folder: the mask of images/b/a.jpg is
   masks/b/a.png.
3. `JPEGImages` and `SegmentationClass` (Pascal VOC), or a list in a folder called Segmentation
   beside them, a name without ending in each line: ROOT/ImageSets/Segmentation/val.txt.
4. A description, `masks.json` or `...masks.json`: `mask_description.py`.

Masks are read when their picture's turn comes (`mask_files.py`), so that pictures of whose pixels
all are to be ignored are not known before. The names of the classes, by index, are the lines of
`classes.txt` in the folder of 2 and 3, and beside X and Xannot; without it any index is a class.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from intaglio.data.dataset import Dataset, FileSource, Item
from intaglio.data.decode import IMAGE_ENDINGS
from intaglio.data.label_files import counted, files_below, names_in, read_lines
from intaglio.data.mask import IGNORED
from intaglio.data.mask_files import ENDING, MaskFile
from intaglio.data.truth import Category
from intaglio.errors import DataError

BESIDE = "annot"
IMAGES, MASKS = "images", ("masks", "labels", "annotations")
VOC_IMAGES, VOC_MASKS, VOC_BOXES = "JPEGImages", "SegmentationClass", "Annotations"
LISTS, LIST_ENDING = "Segmentation", ".txt"
NAMES = "classes.txt"
LARGEST_BYTES = 2**26
"""Of a list; one of a million pictures is smaller."""
_LEVELS = 3
"""Folders above a list that are looked at: ROOT/ImageSets/Segmentation/val.txt."""


@dataclass(frozen=True)
class MaskFolders:
    """Where pictures and masks are.

    Attributes:
        path: What the user named.
        images, masks: The folders; both are looked through to the bottom.
        names: Of the classes, by index; () where nothing tells them.
        ignore: Numbers that count for nothing, beside IGNORED.
        stems: Names of pictures without ending, below `images`; None: all.
        values: What masks have for each class, by index; () where they have the index itself.
    """

    path: Path
    images: Path
    masks: Path
    names: tuple[str, ...] = ()
    ignore: tuple[int, ...] = ()
    stems: tuple[str, ...] | None = None
    values: tuple[int, ...] = ()


def folders_beside(path: Path) -> MaskFolders | None:
    """Return a folder of pictures and the one beside it whose name ends with `annot`, or None.

    The other one holds PNG files alone, and one of them at least has the name of a picture.
    """
    whole = path.absolute()
    masks = whole.parent / f"{whole.name}{BESIDE}"
    if not whole.name or not os.path.isdir(path) or not os.path.isdir(masks):
        return None
    if not names_in(path, IMAGE_ENDINGS) or not _pairs(path, masks):
        return None
    return MaskFolders(path, path, masks, class_lines(masks.parent / NAMES))


def folders_inside(path: Path, *, wanted: bool) -> MaskFolders | None:
    """Return the folders `images` and `masks` (`labels`, `annotations`) of a folder, or None.

    They might be two class folders, or one of pictures and one of boxes: so the second holds PNG
    files alone, one of them at least has the name of a picture, and, but where masks are wanted,
    there is no further folder.
    """
    if not os.path.isdir(path / IMAGES):
        return None
    try:
        visible = {one.name for one in os.scandir(path) if one.is_dir() and one.name[0] != "."}
    except OSError:  # whoever reads it otherwise says so
        return None
    found = [name for name in MASKS if name in visible and _pairs(path / IMAGES, path / name)]
    if len(found) != 1 or (not wanted and visible != {IMAGES, found[0]}):
        return None
    return MaskFolders(path, path / IMAGES, path / found[0], class_lines(path / NAMES))


def folders_of_voc(path: Path, *, wanted: bool) -> MaskFolders | None:
    """Return the folders of VOC's form, of which `path` is the root or a list of its pictures.

    A root that has boxes as well, and a list that is not in a folder called Segmentation, are read
    as boxes but where masks are wanted.
    """
    if os.path.isdir(path):
        fits = _is_voc(path) and (wanted or not os.path.isdir(path / VOC_BOXES))
        return _voc_folders(path, path) if fits else None
    if path.suffix.lower() != LIST_ENDING or not os.path.isfile(path):
        return None
    if path.absolute().parent.name != LISTS and not wanted:
        return None
    root = next((folder for folder in path.absolute().parents[:_LEVELS] if _is_voc(folder)), None)
    return None if root is None else replace(_voc_folders(path, root), stems=list_stems(path))


def open_masks(found: MaskFolders) -> Dataset:
    """Return the pictures, sorted or in the order of their list, each with a MaskFile as its label.

    Pictures without a mask and masks without a picture are left out and told.

    Raises:
        DataError: If a folder cannot be read, two pictures or masks have one name, a list names
            what is not there, or no picture has a mask.
    """
    pictures, masks = _by_stem(found.images, IMAGE_ENDINGS), _by_stem(found.masks, (ENDING,))
    stems = list(pictures) if found.stems is None else _listed(found, pictures, masks)
    both = [stem for stem in stems if stem in masks]
    if not both:
        raise DataError(
            f"{found.path}: no picture has a mask: {counted(len(pictures), 'picture')} in"
            f" {found.images}, {counted(len(masks), 'mask')} ({ENDING}) in {found.masks}, and none"
            " has the name of another; the mask of a.jpg is a.png"
        )
    count = len(found.names) or len(found.values) or None
    items = [
        Item(
            pictures[stem].relative_to(found.images).as_posix(),
            MaskFile(str(masks[stem]), count, found.ignore, found.values),
            FileSource(str(pictures[stem])),
        )
        for stem in both
    ]
    path = found.path
    name = path.resolve().name if path.is_dir() else path.name
    return Dataset(name, path, items, _notes(found, pictures, masks), mask_categories_of(found))


def mask_categories_of(found: MaskFolders) -> tuple[Category, ...]:
    """Return the classes by index; () where nothing tells them."""
    return tuple(Category(index, name) for index, name in enumerate(found.names))


def class_lines(file: Path) -> tuple[str, ...]:
    """Return the names of classes, a line each; () where there is no such file.

    Raises:
        DataError: If it cannot be read, has a name twice, or more than there can be.
    """
    if not os.path.isfile(file):
        return ()
    return checked_names(file, [text for _, text in read_lines(file, LARGEST_BYTES)])


def checked_names(file: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Return names of classes; raise DataError if one is there twice, or there are too many."""
    if len(names) > IGNORED:
        raise DataError(
            f"{file}: it names {len(names)} classes; the classes of a mask are 0 to {IGNORED - 1}"
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{file}: the class '{twice}' is there twice; name each once")
    return tuple(names)


def list_stems(path: Path) -> tuple[str, ...]:
    """Return the names without ending that a list has, a line each.

    Raises:
        DataError: If it cannot be read, names none, or one twice.
    """
    first_line: dict[str, int] = {}
    for line, stem in read_lines(path, LARGEST_BYTES):
        if stem in first_line:
            raise DataError(
                f"{path}: line {line}: '{stem}' is there twice, first in line {first_line[stem]}"
            )
        first_line[stem] = line
    if not first_line:
        raise DataError(f"{path}: the list names no picture")
    return tuple(first_line)


def _voc_folders(path: Path, root: Path) -> MaskFolders:
    return MaskFolders(path, root / VOC_IMAGES, root / VOC_MASKS, class_lines(root / NAMES))


def _is_voc(folder: Path) -> bool:
    return all(os.path.isdir(folder / part) for part in (VOC_IMAGES, VOC_MASKS))


def _pairs(images: Path, masks: Path) -> bool:
    """Whether a folder holds PNG files alone, one of which has the name of a picture."""
    try:
        files = list(files_below(masks, ("",)))
        if not files or any(file.suffix.lower() != ENDING for file in files):
            return False
        stems = {_stem(file, masks) for file in files}
        return any(_stem(file, images) in stems for file in files_below(images, IMAGE_ENDINGS))
    except DataError:  # what may not be looked into is left to who reads it otherwise
        return False


def _stem(file: Path, folder: Path) -> str:
    return file.relative_to(folder).with_suffix("").as_posix()


def _by_stem(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    """Return the files below a folder by name without ending, sorted."""
    files: dict[str, Path] = {}
    for file in files_below(folder, endings):
        stem = _stem(file, folder)
        if stem in files:
            raise DataError(
                f"{folder}: '{files[stem].name}' and '{file.name}' are one name with two endings;"
                " it is unclear which belongs to the mask: remove one"
            )
        files[stem] = file
    return files


def _listed(
    found: MaskFolders, pictures: Mapping[str, Path], masks: Mapping[str, Path]
) -> list[str]:
    stems = list(found.stems or ())
    for files, folder, what in (
        (pictures, found.images, "picture"),
        (masks, found.masks, "mask"),
    ):
        missing = [stem for stem in stems if stem not in files]
        if missing:
            raise DataError(
                f"{found.path}: there is no {what} '{missing[0]}' in {folder} ({len(missing)} of"
                f" {counted(len(stems), what)} are missing); a list has one name without ending in"
                " each line"
            )
    return stems


def _notes(
    found: MaskFolders, pictures: Mapping[str, Path], masks: Mapping[str, Path]
) -> tuple[str, ...]:
    if found.stems is not None:  # a list names some of many, and all that it names are there
        return ()
    sides = (
        ([stem for stem in pictures if stem not in masks], pictures, "picture", "mask"),
        ([stem for stem in masks if stem not in pictures], masks, "mask", "picture"),
    )
    return tuple(
        f"{len(alone):,} of {counted(len(files), what)} have no {other} and are left out; the"
        f" first: '{files[alone[0]].name}'"
        for alone, files, what, other in sides
        if alone
    )
