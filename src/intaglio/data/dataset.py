"""A data set: which images there are, their class indices, and where the bytes of each lie.

Nothing is decoded or kept here; an item knows how to open its bytes when its turn comes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Protocol, overload

import torch

from intaglio.data.guard import refuse_if_forbidden
from intaglio.data.mask import Mask, UnreadMask
from intaglio.data.truth import Category, Truth
from intaglio.errors import DataError, RequestError

Label = int | Truth | UnreadMask | Mask | None
"""What is known of an image: its class index >= 0, the boxes in it, the class of each of its pixels
(of a file or outlines in an item, read in a batch), or nothing."""


class Source(Protocol):
    """Where the bytes of one image lie; `str()` of it names the place for error messages."""

    def open(self) -> IO[bytes]:
        """Return a readable binary file at its start; raise OSError where there is none."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """An image file of its own."""

    path: str

    def open(self) -> IO[bytes]:
        """Return the open file; the caller closes it."""
        refuse_if_forbidden(self.path)
        return open(self.path, "rb")

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class Item:
    """One image.

    Attributes:
        name: Short and unique: relative to the folder, as in the manifest, or file and row.
        label: What is known of it; None where the data set has no labels.
        source: Where its bytes lie.
    """

    name: str
    label: Label
    source: Source


@dataclass(frozen=True)
class Dataset:
    """Images in a fixed order; either all have labels or none.

    Attributes:
        name: The last part of its path, for reports.
        path: The folder or file that it was opened from.
        items: The images; of a parquet file, made when asked for.
        notes: What of the data set cannot be used, though the rest can: a sentence each.
        categories: Of boxes, or of masks that name their classes; () where labels are neither.
    """

    name: str
    path: Path
    items: Sequence[Item]
    notes: tuple[str, ...] = ()
    categories: tuple[Category, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    @property
    def labelled(self) -> bool:
        """Whether it is known what is in the images."""
        return len(self.items) > 0 and self.items[0].label is not None


class Items(Sequence[Item]):
    """Items that are made when they are asked for; a slice of them, when its own are."""

    @abstractmethod
    def at(self, index: int) -> Item:
        """Return an item; `index` is from 0 on."""

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        if isinstance(index, slice):
            return _Selection(self, tuple(range(len(self))[index]))
        return self.at(range(len(self))[index])


@dataclass(frozen=True)
class _Selection(Items):
    """Some of the items of another sequence, by index."""

    items: Sequence[Item]
    indices: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.indices)

    def at(self, index: int) -> Item:
        """Return an item of the other sequence."""
        return self.items[self.indices[index]]


def draw(dataset: Dataset, limit: int | None, seed: int) -> Dataset:
    """Return `limit` images of the data set, drawn without replacement.

    The drawn images keep the order of the data set, so that a file is read from front to back. A
    smaller limit with the same seed gives a part of what a larger one gives.

    Args:
        dataset: Where to draw from.
        limit: How many, >= 1; None or more than there are gives all of them, in their order.
        seed: The same seed gives the same images.

    Raises:
        RequestError: If `limit` is below 1.
    """
    if limit is not None and limit < 1:
        raise RequestError(f"a limit of {limit} images: give 1 or more, or leave --limit out")
    if limit is None or limit >= len(dataset):
        return dataset
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randperm(len(dataset), generator=generator)[:limit]  # [limit]
    indices = tuple(sorted(drawn.tolist()))
    return replace(dataset, items=_Selection(dataset.items, indices))


def check_labels(dataset: Dataset, class_count: int) -> None:
    """Make sure that each class index is one of the network's outputs; without labels do nothing.

    Args:
        dataset: Its labels are read, its images are not.
        class_count: Number of the network's outputs.

    Raises:
        DataError: Naming the first image whose index is out of range, and how many there are; if
            the labels are boxes or masks.
    """
    if isinstance(_first_label(dataset), UnreadMask | Mask):
        raise DataError(
            f"{dataset.path}: its labels are masks, and the network is to tell classes: give"
            " --task segment, or images with class indices"
        )
    if dataset.categories:
        raise DataError(
            f"{dataset.path}: its labels are boxes, and the network is to tell classes: give"
            " --task detect, or images with class indices"
        )
    beyond = [
        item for item in dataset.items if isinstance(item.label, int) and item.label >= class_count
    ]
    if beyond:
        first = beyond[0]
        raise DataError(
            f"{dataset.path}: class index {first.label} of '{first.name}' is out of range: the"
            f" network has {class_count} outputs, 0 to {class_count - 1}"
            f" ({len(beyond)} of {len(dataset)} images are out of range);"
            f" correct the labels or give the network that they belong to"
        )


def _first_label(dataset: Dataset) -> Label:
    return dataset.items[0].label if len(dataset.items) else None
