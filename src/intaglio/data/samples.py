"""Images that training takes in any order, again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Taken:
    """Images that were asked for, as the network takes them.

    Attributes:
        images: [N, C, H, W] float32.
        labels: Of these images, in the task's form ([N] int64 of class indices); None where the
            data has none.
        indices: Which they are; those that could not be read are left out of all three.
    """

    images: Tensor
    labels: Any
    indices: tuple[int, ...]


class Samples(Protocol):
    """A data set in any order."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    def __len__(self) -> int:
        """Return how many images there are."""

    def take(self, indices: Sequence[int]) -> Taken:
        """Return images by index, in this order.

        Raises:
            DataError: If one cannot be read, and unreadable ones are not to be passed over.
        """

    @property
    def skipped(self) -> Sequence[str]:
        """What was passed over so far: a sentence each, naming file and reason."""
