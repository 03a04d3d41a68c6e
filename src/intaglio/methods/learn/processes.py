"""Several processes that train one network together, each on its part of every batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

Plain = TypeVar("Plain", bool, int, float, str)


@dataclass(frozen=True)
class Processes:
    """The processes of a run, as one of them sees them.

    Attributes:
        rank: Which this one is, from 0; the first alone writes and tells.
        count: How many there are.
        device: Where this one computes.
    """

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    def part(self, size: int) -> slice:
        """Return which of `size` items in a row are this process's: the same for all but for one.

        Alone: all of them.
        """
        if self.count == 1:
            return slice(0, size)
        raise NotImplementedError

    def summed(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, the same in each; alone: the values themselves."""
        if self.count == 1:
            return values
        raise NotImplementedError

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and tells."""
        return self.rank == 0

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients by their sums over all processes; alone: leave them."""
        if self.count > 1:
            raise NotImplementedError

    def agreed(self, value: Plain) -> Plain:
        """Return the first process's value, in each."""
        if self.count > 1:
            raise NotImplementedError
        return value


ALONE = Processes()
