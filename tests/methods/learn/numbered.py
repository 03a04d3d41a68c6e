"""Images that are numbers, some of which cannot be read, and networks that say which they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from intaglio.data.samples import Taken

CLASSES = 7


@dataclass
class Numbered:
    """Image i is filled with i; its label is i modulo the classes, or another.

    Attributes:
        unreadable: Images that are passed over.
        asked: Those that were taken, in order.
        with_targets: Whether labels are two tensors of the outputs' shapes in place of classes.
    """

    unreadable: frozenset[int] = frozenset()
    with_targets: bool = False
    asked: list[int] = field(default_factory=list)
    name: str = "numbers"
    skipped: Sequence[str] = ()

    def __len__(self) -> int:
        return 100

    def take(self, indices: Sequence[int]) -> Taken:
        """Return images by number."""
        self.asked += indices
        read = tuple(index for index in indices if index not in self.unreadable)
        values = torch.tensor(read, dtype=torch.float32)
        images = values.reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2)
        labels: Any = (values.long() + values.long() // 3) % CLASSES
        if self.with_targets:
            labels = (values.reshape(-1, 1) * 1.5, values.reshape(-1, 1).sin())
        return Taken(images, labels, read)


def scores(images: Tensor) -> list[Tensor]:
    """Return scores [N, 7], of which the number modulo 7 is the best; ties behind it."""
    assert len(images), "a network is never asked about no images"
    return [torch.eye(CLASSES)[images[:, 0, 0, 0].long() % CLASSES]]


def two_values(images: Tensor) -> list[Tensor]:
    """Return two outputs [N, 1] that depend on the image."""
    number = images[:, 0, 0, :1]
    return [number * 1.25, number.cos()]
