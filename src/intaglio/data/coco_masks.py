"""Masks of COCO's form: the outlines of objects, as polygons or runs, painted over each other.

Source: the format as https://cocodataset.org/#format-data states it. `segmentation` is a list of
polygons [x0, y0, x1, y1, ...] in pixels, whose union is the object, or an object {"size", "counts"}
of runs (`runs.py`). Polygons are filled by pycocotools, as for the figures of COCO: a pixel is in
one where its centre is, to about a fifth of a pixel.

A pixel has the class of the smallest object that it is in: objects are painted by falling number of
pixels, of equal ones the later above. Regions of `iscrowd` are IGNORED, below all objects. All else
is the background, class 0; the categories, by rising id, are 1, 2, ...
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intaglio.data.coco_file import Entry, categories_of, images_of, read_coco, whole_number
from intaglio.data.dataset import Dataset, FileSource, Item
from intaglio.data.label_files import counted, header_size
from intaglio.data.mask import IGNORED
from intaglio.data.mask_classes import BACKGROUND, class_table
from intaglio.data.runs import checked_runs, filled
from intaglio.data.truth import Category
from intaglio.errors import DataError, RequestError, cause

LEAST_POINTS = 3
MOST_STEPS = 2**24
"""Steps along the edges of one polygon; pycocotools holds a number for each fifth of a pixel."""
_STEPS_A_PIXEL = 5


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """One object.

    Attributes:
        index: Of its class; IGNORED of a crowd.
        polygons: [2 points] float64 each; () where it is given by runs.
        runs: [n] int64, as `filled` takes them; None where it is given by polygons.
    """

    index: int
    polygons: tuple[NDArray[np.float64], ...] = ()
    runs: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class OutlinedMask:
    """An UnreadMask: the outlines of a picture's objects.

    Attributes:
        outlines: In the order of the file.
        size: (height, width) of the picture that they were drawn on.
    """

    outlines: tuple[Outline, ...]
    size: tuple[int, int]

    def read(self, size: tuple[int, int], name: str) -> NDArray[np.uint8]:
        """Return the class of each pixel, [H, W], 0 where no object is; arguments as UnreadMask.

        Raises:
            DataError: If the picture has another size than the labels say.
            RequestError: If there are polygons, and pycocotools is not installed.
        """
        if size != self.size:
            raise DataError(
                f"{name}: the picture is {size[1]}x{size[0]} pixels, its labels are for"
                f" {self.size[1]}x{self.size[0]}: outlines would lie elsewhere; give the picture"
                " that was labelled"
            )
        inside = [(outline.index, _inside(outline, size)) for outline in self.outlines]
        inside.sort(key=lambda one: (one[0] != IGNORED, -int(one[1].sum())))  # keeps equal ones
        classes = np.zeros(size, np.uint8)
        for index, pixels in inside:
            classes[pixels] = index
        return classes


@dataclass
class _Told:
    """Annotations by what is told of them; `where` of each."""

    bare: list[str]
    slim: list[str]
    crowds: int = 0
    others: int = 0


def coco_mask_categories(path: Path) -> tuple[Category, ...]:
    """Return the background, then the categories of a COCO file by rising id.

    A category called background is the background itself.

    Raises:
        DataError: As `open_coco_masks`, of the categories.
    """
    return _with_background(path, categories_of(path, read_coco(path)))


def open_coco_masks(path: Path, names: Sequence[str] = ()) -> Dataset:
    """Return the pictures of a COCO file in the order of its `images`, masks as their labels.

    Pictures are looked for as `open_coco` does. Those without an outline stay: background alone.

    Args:
        path: Of the file.
        names: Of a network's classes: objects of other categories (`mask_classes.py`) are not
            painted, so that what they lie on is seen through them; (): all are.

    Raises:
        DataError: Naming the entry and its value: as `open_coco`, but that no `bbox` is needed; if
            an outline is none, has numbers that are not finite or lie far outside of the picture,
            or runs that do not fill the picture exactly; if there is no outline at all.
        RequestError: If there are polygons, and pycocotools is not installed.
    """
    parts = read_coco(path)
    numbered = categories_of(path, parts)
    categories = _with_background(path, numbered)
    index_of = _painted(categories, numbered, names)
    images = images_of(path, parts["images"])
    sources = {number: FileSource(image.file) for number, image in images.items()}
    sizes = {number: image.size or header_size(sources[number]) for number, image in images.items()}
    outlines: dict[int, list[Outline]] = defaultdict(list)
    told = _Told([], [])
    for place, entry in enumerate(parts["annotations"]):
        where = f"annotation {entry.get('id', f'number {place + 1}')}"
        number = _picture_of(path, entry, where, sizes)
        found = _outline(path, entry, where, size=sizes[number], index_of=index_of, told=told)
        if found is not None:
            outlines[number].append(found)
    _refuse_none(path, outlines, told)
    if any(one.polygons for several in outlines.values() for one in several):
        _pycocotools()
    items = [
        Item(image.name, OutlinedMask(tuple(outlines[number]), sizes[number]), sources[number])
        for number, image in images.items()
    ]
    notes = _notes(items, len(parts["annotations"]), told)
    return Dataset(path.name, path, items, notes, categories)


def _with_background(path: Path, found: Sequence[Category]) -> tuple[Category, ...]:
    own = next((one for one in found if one.name.lower() == BACKGROUND), Category(0, BACKGROUND))
    all_of_them = (own, *(one for one in found if one is not own))
    if len(all_of_them) > IGNORED:
        raise DataError(
            f"{path}: {len(found)} categories; the classes of a mask are 0 to {IGNORED - 1}, of"
            " which the background is 0: give a file of fewer categories"
        )
    return all_of_them


def _painted(
    categories: Sequence[Category], numbered: Sequence[Category], names: Sequence[str]
) -> dict[int, int | None]:
    """Return the index of each category by its number; None: it is not painted."""
    index_of: dict[int, int | None] = {one.number: categories.index(one) for one in numbered}
    if not names:
        return index_of
    table = class_table(categories, names).tolist()
    rest = {IGNORED, *(k for k, name in enumerate(names) if name.lower() == BACKGROUND)}
    return {
        number: None if index is None or table[index] in rest else index
        for number, index in index_of.items()
    }


def _picture_of(path: Path, entry: Entry, where: str, sizes: Mapping[int, tuple[int, int]]) -> int:
    number = whole_number(path, entry, "image_id", where)
    if number not in sizes:
        raise DataError(
            f"{path}: {where} is of the image_id {number}, which is not among the images; add the"
            " image or remove the annotation"
        )
    return number


def _outline(
    path: Path,
    entry: Entry,
    where: str,
    *,
    size: tuple[int, int],
    index_of: Mapping[int, int | None],
    told: _Told,
) -> Outline | None:
    category = whole_number(path, entry, "category_id", where)
    if category not in index_of:
        raise DataError(
            f"{path}: {where} has the category_id {category}, which is not among the categories;"
            " add the category or correct the annotation"
        )
    crowd = entry.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise DataError(f"{path}: {where} has iscrowd {crowd!r}: give 0 or 1")
    own = index_of[category]
    if own is None:
        told.others += 1
        return None
    index, form = IGNORED if crowd else own, entry.get("segmentation")
    if not form:
        told.bare.append(where)
        return None
    outline = _drawn(form, index, size, f"{path}: {where}")
    if outline is None:
        told.slim.append(where)
        return None
    told.crowds += int(crowd == 1)
    return outline


def _drawn(form: object, index: int, size: tuple[int, int], where: str) -> Outline | None:
    """Return what a segmentation draws; None of polygons that have all too few points."""
    if isinstance(form, dict):
        return Outline(index, runs=checked_runs(form, size, where))
    if isinstance(form, list) and all(isinstance(polygon, list) for polygon in form):
        polygons = [_polygon(polygon, size, where) for polygon in form]
        kept = tuple(one for one in polygons if len(one) >= 2 * LEAST_POINTS)
        return Outline(index, kept) if kept else None
    raise DataError(
        f"{where} has a segmentation that is neither a list of polygons"
        " [[x0, y0, x1, y1, ...], ...] nor an object of size and counts"
    )


def _polygon(values: Sequence[object], size: tuple[int, int], where: str) -> NDArray[np.float64]:
    """Return the points of a polygon, [2 points], all of which pycocotools can draw."""
    wrong = next((v for v in values if isinstance(v, bool) or not isinstance(v, int | float)), None)
    if wrong is not None or len(values) % 2:
        what = f"{wrong!r} in it" if wrong is not None else f"{len(values)} numbers"
        raise DataError(
            f"{where} has a polygon with {what}: give x and y of each point, as numbers"
        )
    try:
        points = np.array(values, np.float64)
    except OverflowError:  # a whole number beyond float64
        points = np.array([np.inf])
    if not np.isfinite(points).all():
        raise DataError(f"{where} has a polygon with a number that is not finite")
    height, width = size
    pairs, sides = points.reshape(-1, 2), np.array([width, height])
    if ((pairs < -sides) | (pairs > 2 * sides)).any():
        x, y = pairs[((pairs < -sides) | (pairs > 2 * sides)).any(axis=1)][0]
        raise DataError(
            f"{where} has the point ({x:g}, {y:g}), far outside of the picture of {width}x{height}"
            " pixels: give points in its pixels"
        )
    steps = np.abs(pairs - np.roll(pairs, 1, axis=0)).max(axis=1, initial=0.0).sum()
    if steps * _STEPS_A_PIXEL > MOST_STEPS:
        raise DataError(
            f"{where} has a polygon of {len(pairs)} points, {steps:.0f} pixels long: more than"
            " any object has; correct it"
        )
    return points


def _inside(outline: Outline, size: tuple[int, int]) -> NDArray[np.bool_]:
    if outline.runs is not None:
        return filled(outline.runs, size)
    mask = _pycocotools()
    drawn = mask.frPyObjects([polygon.tolist() for polygon in outline.polygons], *size)
    union = mask.merge(drawn)
    form = {"size": list(size), "counts": union["counts"].decode("ascii")}
    # not by its own `decode`, which NumPy 2 warns about
    return filled(checked_runs(form, size, "pycocotools"), size)


def _pycocotools() -> Any:
    try:
        from pycocotools import mask
    except ImportError as error:
        raise RequestError(
            f"the polygons of COCO are filled by the package pycocotools ({cause(error)}):"
            ' pip install "intaglio[detect]"'
        ) from error
    return mask


def _refuse_none(path: Path, outlines: Mapping[int, Sequence[Outline]], told: _Told) -> None:
    if not any(outlines.values()):
        bare = f" ({counted(len(told.bare), 'annotation')} without `segmentation`)"
        raise DataError(
            f"{path}: there is no outline of an object{bare if told.bare else ''}: masks are made"
            " of these; give the file that has them, or ask for boxes"
        )


def _notes(items: Sequence[Item], total: int, told: _Told) -> tuple[str, ...]:
    notes = [
        f"{len(found):,} of {counted(total, 'annotation')} {what} and are left out; the first:"
        f" {found[0]}"
        for found, what in (
            (told.bare, "have no outline"),
            (told.slim, f"have an outline of fewer than {LEAST_POINTS} points"),
        )
        if found
    ]
    if told.crowds:
        notes.append(
            f"{told.crowds:,} of {counted(total, 'annotation')} are crowds: their pixels count for"
            " nothing, but where another object is"
        )
    if told.others:
        notes.append(
            f"{told.others:,} of {counted(total, 'annotation')} are of categories that are no class"
            " of the network and are not painted"
        )
    empty = [one for one in items if isinstance(one.label, OutlinedMask) and not one.label.outlines]
    if empty:
        notes.append(
            f"{len(empty):,} of {counted(len(items), 'picture')} have no outline: all of them is"
            f" background; the first: '{empty[0].name}'"
        )
    return tuple(notes)
