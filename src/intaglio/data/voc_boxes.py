"""Boxes in the form of Pascal VOC: one XML file a picture, in `Annotations` beside `JPEGImages`.

Source: Everingham et al., The Pascal Visual Object Classes Challenge 2012, development kit. There
xmin, ymin, xmax, ymax are the first and the last pixel of a box, counted from 1. Here a box reaches
from the left of its first pixel to the right of its last one, counted from 0: left = xmin - 1,
top = ymin - 1, right = xmax, bottom = ymax. An object that is `difficult` is a crowd: found or not,
it counts for nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from intaglio.data.boxes_found import Box, Picture, Wording, dataset_of, picture
from intaglio.data.dataset import Dataset, FileSource
from intaglio.data.decode import IMAGE_ENDINGS
from intaglio.data.label_files import (
    counted,
    file_bytes,
    finite,
    header_size,
    names_in,
    read_lines,
    whole_sides,
)
from intaglio.data.truth import Category
from intaglio.errors import DataError

LIST_ENDING = ".txt"
ANNOTATIONS, PICTURES = "Annotations", "JPEGImages"
LARGEST_BYTES = 2**24
"""Of one file of labels; those of Pascal have a few thousand."""
_LEVELS = 3
"""Folders above a list that are looked at: ROOT/ImageSets/Main/val.txt."""
_EDGES = ("xmin", "ymin", "xmax", "ymax")
_WORDING = Wording("difficult", f"look into its {ANNOTATIONS}")


@dataclass(frozen=True)
class _Object:
    """An object of an annotation: its category's name, and its box of the index 0."""

    name: str
    box: Box


@dataclass(frozen=True)
class _Annotation:
    """One XML file.

    Attributes:
        file: Where it is.
        size: (height, width); None where it does not say it.
        objects: In its order.
    """

    file: Path
    size: tuple[int, int] | None
    objects: tuple[_Object, ...]


def is_voc(path: Path) -> bool:
    """Whether this is a folder of VOC's form, or a list of pictures somewhere in one."""
    return _root(path) is not None


def voc_categories(path: Path) -> tuple[Category, ...]:
    """Return the names of all annotations, sorted; those of a list are the same.

    Raises:
        DataError: If an annotation is broken, or there is no object in any.
    """
    return _categories(path, _annotations(_root_of(path)))


def open_voc(path: Path) -> Dataset:
    """Return the pictures of a folder, sorted, or those of a list, in its order.

    A list has a name without ending in each line. Categories are those of the whole folder, so that
    all lists have the same. A picture may have any ending that images have.

    Raises:
        DataError: Naming file and line: if an annotation is broken or has a number that is none or
            a negative side; if a name of a list has no annotation, or an annotation no picture;
            if there is no box at all.
    """
    root = _root_of(path)
    annotations = _annotations(root)
    categories = _categories(path, annotations)
    is_list = not os.path.isdir(path)
    stems = _listed(path, annotations) if is_list else list(annotations)
    files = _pictures(root)
    missing = [stem for stem in stems if stem not in files]
    if missing:
        raise DataError(
            f"{annotations[missing[0]].file}: there is no picture '{missing[0]}' with one of the"
            f" endings of images in {root / PICTURES} ({len(missing)} of"
            f" {counted(len(stems), 'picture')} are missing)"
        )
    index_of = {category.name: category.number for category in categories}
    pictures = [
        _picture(root / PICTURES / files[stem], annotations[stem], index_of) for stem in stems
    ]
    unlabelled = [] if is_list else [files[stem] for stem in files if stem not in annotations]
    notes = _unlabelled(unlabelled, len(files))
    return dataset_of(path, pictures, categories, wording=_WORDING, notes=notes)


def _root(path: Path) -> Path | None:
    if os.path.isdir(path):
        return path if _has_both(path) else None
    if path.suffix.lower() != LIST_ENDING or not os.path.isfile(path):
        return None
    return next((folder for folder in path.absolute().parents[:_LEVELS] if _has_both(folder)), None)


def _root_of(path: Path) -> Path:
    root = _root(path)
    if root is None:
        raise DataError(f"{path}: no folder of {ANNOTATIONS} and {PICTURES}, nor a list inside one")
    return root


def _has_both(folder: Path) -> bool:
    return all(os.path.isdir(folder / part) for part in (ANNOTATIONS, PICTURES))


def _annotations(root: Path) -> dict[str, _Annotation]:
    folder = root / ANNOTATIONS
    return {Path(name).stem: _annotation(folder / name) for name in names_in(folder, (".xml",))}


def _categories(path: Path, annotations: Mapping[str, _Annotation]) -> tuple[Category, ...]:
    names = {found.name for annotation in annotations.values() for found in annotation.objects}
    if not names:
        raise DataError(f"{path}: the data set is empty: no object in any file of {ANNOTATIONS}")
    return tuple(Category(index, name) for index, name in enumerate(sorted(names)))


def _listed(path: Path, annotations: Mapping[str, _Annotation]) -> list[str]:
    first_line: dict[str, int] = {}
    for line, stem in read_lines(path, LARGEST_BYTES):
        if stem in first_line:
            raise DataError(
                f"{path}: line {line}: '{stem}' is there twice, first in line {first_line[stem]}"
            )
        if stem not in annotations:
            raise DataError(
                f"{path}: line {line}: there is no {ANNOTATIONS}/{stem}.xml; a list has one name"
                " without ending in each line (lists of one class, with 1 or -1 behind each name,"
                " are not read)"
            )
        first_line[stem] = line
    return list(first_line)


def _pictures(root: Path) -> dict[str, str]:
    """Return the names of the pictures by name without ending."""
    files: dict[str, str] = {}
    for name in names_in(root / PICTURES, IMAGE_ENDINGS):
        stem = Path(name).stem
        if stem in files:
            raise DataError(
                f"{root / PICTURES}: '{files[stem]}' and '{name}' are one name with two endings;"
                " it is unclear to which the annotation belongs: remove one"
            )
        files[stem] = name
    return files


def _picture(file: Path, annotation: _Annotation, index_of: Mapping[str, int]) -> Picture:
    source = FileSource(str(file))
    boxes = [replace(found.box, index=index_of[found.name]) for found in annotation.objects]
    size = annotation.size or header_size(source)
    return picture(file.name, source, size, boxes)


def _unlabelled(names: Sequence[str], total: int) -> list[str]:
    if not names:
        return []
    return [
        f"{len(names):,} of {counted(total, 'picture')} have no annotation and are left out; the"
        f" first: '{names[0]}'"
    ]


def _annotation(file: Path) -> _Annotation:
    root = _tree(file)
    if root.tag != "annotation":
        raise DataError(f"{file}: not of VOC's form: it begins with <{root.tag}>, not <annotation>")
    found = [_object(file, place, entry) for place, entry in enumerate(root.findall("object"), 1)]
    return _Annotation(file, _size(file, root), tuple(found))


def _tree(file: Path) -> Element:
    """Return the elements of a stranger's file, which may define no entities."""

    def refuse(*_: object) -> NoReturn:
        """Raise DataError, whatever is defined."""
        raise DataError(
            f"{file}: line {parser.CurrentLineNumber}: it has a document type or entities, which"
            " no file of labels needs; remove <!DOCTYPE ...>"
        )

    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(file_bytes(file, LARGEST_BYTES), True)
        return builder.close()
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise DataError(
            f"{file}: line {parser.ErrorLineNumber or 1}: not XML ({error}); repair or remove it"
        ) from error


def _size(file: Path, root: Element) -> tuple[int, int] | None:
    """Return (height, width); labelling tools that do not know it write nothing or 0."""
    texts = [root.findtext(f"size/{side}", "").strip() for side in ("height", "width")]
    if any(text in ("", "0") for text in texts):
        return None
    size = whole_sides(texts)
    if size is None:
        raise DataError(
            f"{file}: the size has the height '{texts[0]}' and the width '{texts[1]}': give whole"
            " pixels, or leave the size out"
        )
    return size


def _object(file: Path, place: int, entry: Element) -> _Object:
    where = f"object {place}"
    name = entry.findtext("name", "").strip()
    if not name:
        raise DataError(f"{file}: {where} has no <name>")
    corners = entry.find("bndbox")
    texts = ["" if corners is None else corners.findtext(edge, "").strip() for edge in _EDGES]
    told = ", ".join(f"{edge} '{text}'" for edge, text in zip(_EDGES, texts, strict=True))
    numbers = [number for number in map(finite, texts) if number is not None]
    if len(numbers) != len(_EDGES):
        raise DataError(f"{file}: {where} ('{name}') has {told}: give four finite numbers")
    left, top, right, bottom = numbers
    if right < left or bottom < top:
        raise DataError(f"{file}: {where} ('{name}') has {told}: a side is negative")
    difficult = entry.findtext("difficult", "0").strip() or "0"
    if difficult not in ("0", "1"):
        raise DataError(f"{file}: {where} ('{name}') has difficult '{difficult}': give 0 or 1")
    edges = (left - 1.0, top - 1.0, right, bottom)
    return _Object(name, Box(where, edges, 0, difficult == "1"))
