"""What labels of boxes have in common, whatever form they come in: clipped, counted and told.

Boxes that reach beyond their picture are clipped to it; those of which nothing is left are left
out. Neither is an error, but `Dataset.notes` says how many there are and which is the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from intaglio.data.dataset import Dataset, Item, Source
from intaglio.data.label_files import counted
from intaglio.data.truth import Category, Truth
from intaglio.errors import DataError

ROUNDING = 0.01
"""Pixels that a box may reach beyond its picture untold: labels have a few decimals only."""


@dataclass(frozen=True, slots=True)
class Box:
    """One box as the labels give it, in pixels of the stored picture.

    Attributes:
        where: Which it is in its file, for messages: "annotation 17", "line 3".
        edges: left, top, right, bottom; finite, left <= right and top <= bottom.
        index: Of its category.
        crowd: Whether it counts for nothing, found or not.
        area: In pixels, > 0; None: what the picture holds of the box.
    """

    where: str
    edges: tuple[float, float, float, float]
    index: int
    crowd: bool = False
    area: float | None = None


@dataclass(frozen=True)
class Picture:
    """A picture and its boxes.

    Attributes:
        item: With a Truth as its label.
        crowds: Boxes that count for nothing.
        clipped, outside, flat: `where` of the boxes that reach beyond the picture, and of those
            left out: nothing of them is in it, they have no area.
    """

    item: Item
    crowds: int = 0
    clipped: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    flat: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wording:
    """How a form of labels calls things.

    Attributes:
        crowd: Of boxes that count for nothing: "crowds", "difficult".
        remedy: What to look at where there is no box at all.
    """

    crowd: str
    remedy: str


@dataclass
class _Kept:
    """The boxes of one picture, sorted into those that stay and those that are told of."""

    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    of: list[Box] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    clipped: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    flat: list[str] = field(default_factory=list)

    def add(self, box: Box, size: tuple[int, int]) -> None:
        """Clip a box to a picture of (height, width) pixels and sort it in."""
        height, width = size
        left, top, right, bottom = box.edges
        inside = (max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height))
        if left >= right or top >= bottom:
            self.flat.append(box.where)
            return
        if inside[0] >= inside[2] or inside[1] >= inside[3]:
            self.outside.append(box.where)
            return
        rounded = np.array(inside, np.float32).tolist()  # as it will be held
        if rounded[0] == rounded[2] or rounded[1] == rounded[3]:
            self.flat.append(box.where)
            return
        if max(abs(a - b) for a, b in zip(box.edges, inside, strict=True)) > ROUNDING:
            self.clipped.append(box.where)
        self.boxes.append(inside)
        self.of.append(box)
        area = (inside[2] - inside[0]) * (inside[3] - inside[1])
        self.areas.append(area if box.area is None else box.area)


def picture(name: str, source: Source, size: tuple[int, int], boxes: Sequence[Box]) -> Picture:
    """Return a picture with the boxes that it holds, clipped to it, in their order.

    Args:
        name: Unique in the data set.
        source: Where its bytes lie.
        size: (height, width) in pixels.
        boxes: As its labels give them.
    """
    kept = _Kept()
    for box in boxes:
        kept.add(box, size)
    truth = Truth(
        np.array(kept.boxes, np.float32).reshape(-1, 4),
        np.array([box.index for box in kept.of], np.int64),
        np.array([box.crowd for box in kept.of], np.bool_),
        np.array(kept.areas, np.float64),
        size,
    )
    told = (tuple(kept.clipped), tuple(kept.outside), tuple(kept.flat))
    return Picture(Item(name, truth, source), int(truth.crowd.sum()), *told)


def dataset_of(
    path: Path,
    pictures: Sequence[Picture],
    categories: Sequence[Category],
    *,
    wording: Wording,
    notes: Sequence[str] = (),
) -> Dataset:
    """Return the pictures as a data set whose notes say what is unusual about their boxes.

    Args:
        path: What the user named.
        pictures: In the order of the data set.
        categories: By index.
        wording: How this form of labels calls things.
        notes: What the form itself has to tell; these come first.

    Raises:
        DataError: If there is no picture, or no box in any.
    """
    if not pictures:
        raise DataError(f"{path}: the data set is empty: it names no picture; {wording.remedy}")
    kept = sum(_box_count(found) for found in pictures)
    told = (*notes, *_notes(pictures, kept, wording))
    if kept == 0:
        reasons = "".join(f"; {note}" for note in told[:3])
        raise DataError(
            f"{path}: none of the {counted(len(pictures), 'picture')} has a box{reasons};"
            f" {wording.remedy}"
        )
    items = [found.item for found in pictures]
    name = path.resolve().name if path.is_dir() else path.name
    return Dataset(name, path, items, told, tuple(categories))


def _box_count(found: Picture) -> int:
    return len(found.item.label) if isinstance(found.item.label, Truth) else 0


def _notes(pictures: Sequence[Picture], kept: int, wording: Wording) -> list[str]:
    clipped = [(where, found) for found in pictures for where in found.clipped]
    outside = [(where, found) for found in pictures for where in found.outside]
    flat = [(where, found) for found in pictures for where in found.flat]
    total = kept + len(outside) + len(flat)
    notes = [
        f"{_of(len(told), total, 'box')} {sentence}; the first: {told[0][0]} of"
        f" '{told[0][1].item.name}'"
        for told, sentence in (
            (clipped, "reach beyond the picture and are clipped to it"),
            (outside, "lie wholly outside of the picture and are left out"),
            (flat, "have no area and are left out"),
        )
        if told
    ]
    crowds = sum(found.crowds for found in pictures)
    if crowds:
        notes.append(
            f"{_of(crowds, total, 'box')} are {wording.crowd}: found or not, they count for nothing"
        )
    empty = [found for found in pictures if _box_count(found) == 0]
    if empty:
        notes.append(
            f"{_of(len(empty), len(pictures), 'picture')} have no box: whatever is found there is"
            f" wrong; the first: '{empty[0].item.name}'"
        )
    return notes


def _of(count: int, total: int, thing: str) -> str:
    return f"{count:,} of {counted(total, thing)}"
