"""Several processes that train one network together, each on its part of every batch."""

from __future__ import annotations

from collections.abc import Iterable
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
        if self.count == 1:
            return slice(0, size)
        raise NotImplementedError

    def summed(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, the same in each; alone: the values themselves."""
        if self.count == 1:
            return values
        raise NotImplementedError

    def mean_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Set each gradient to its mean over all processes; alone: leave them.

        Parameters without a gradient have none in every process.
        """
        if self.count > 1:
            raise NotImplementedError


ALONE = Processes()
