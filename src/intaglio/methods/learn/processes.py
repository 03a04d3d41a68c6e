"""Several processes that train one network together, each on its part of every batch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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
        raise NotImplementedError

    def summed(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, the same in each; alone: the values themselves."""
        raise NotImplementedError


ALONE = Processes()
