"""Masks that bring their picture along, for what looks at both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from intaglio.data.dataset import Dataset, Item, Items
from intaglio.data.mask import UnreadMask


@dataclass(frozen=True, slots=True, eq=False)
class Pictured:
    """An UnreadMask: another one, whose Mask is to hold the picture as well.

    Attributes:
        mask: The other one.
    """

    mask: UnreadMask

    def read(self, size: tuple[int, int], name: str) -> NDArray[np.uint8]:
        """Return what the other one reads."""
        return self.mask.read(size, name)


def with_pictures(dataset: Dataset) -> Dataset:
    """Return a data set whose masks bring their pictures along; other labels stay as they are."""
    return replace(dataset, items=_WithPictures(dataset.items))


@dataclass(frozen=True)
class _WithPictures(Items):
    items: Sequence[Item]

    def __len__(self) -> int:
        return len(self.items)

    def at(self, index: int) -> Item:
        """Return an item of the other sequence."""
        item = self.items[index]
        label = item.label
        return replace(item, label=Pictured(label)) if isinstance(label, UnreadMask) else item
