"""The losses of a run, and when they explode.

A loss is *high* when it is above

    max( mean + 6 max(deviation, 0.4 |mean|),  first,  0.5 )

with mean and deviation of the losses before it (exponential, over some 50 steps; plain until then),
and `first` the mean of the first 20. Five high losses in a row are an explosion. A loss that is
worse than ever but for a step or two is a batch with an outlier, as small batches and mixup have
them; a loss below 0.5 is no explosion even if it was 0 before, as a distance to a teacher is that
the network starts from. Before 20 losses are known, |mean| stands for the deviation. What rises
more slowly than this is left to measurements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

RATE = 0.02
"""Share of a new loss in mean and variance."""
SPREADS = 6.0
LEAST_SPREAD = 0.4
"""Deviation, as a share of the mean, that a run is granted at least."""
LEAST_HIGH = 0.5
FEWEST = 5
"""Losses before the first that can be high."""
FIRST = 20
"""Losses from which the deviation is trusted, and the mean of which is the start's."""
IN_A_ROW = 5


@dataclass
class LossRecord:
    """Losses that were seen.

    Attributes:
        count: How many are in mean and variance.
        mean, variance: Of them.
        first: Mean of the first ones.
        row: High losses since the last one that was not; they are not in the mean yet.
    """

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0
    first: float = 0.0
    row: list[float] = field(default_factory=list)

    @property
    def limit(self) -> float:
        """The largest loss that is not high."""
        if self.count < FEWEST:
            return math.inf
        least = (LEAST_SPREAD if self.count >= FIRST else 1.0) * abs(self.mean)
        return max(
            self.mean + SPREADS * max(math.sqrt(self.variance), least), self.first, LEAST_HIGH
        )

    def add(self, loss: float) -> bool:
        """Take a finite loss and return whether losses have exploded with it."""
        limit = self.limit
        if loss > limit:
            self.row.append(loss)
            return len(self.row) >= IN_A_ROW
        for high in self.row:  # outliers, as it turned out: they count, but not for all they are
            self._count(min(high, limit))
        self.row.clear()
        self._count(loss)
        return False

    def _count(self, loss: float) -> None:
        self.count += 1
        share = max(1.0 / self.count, RATE)
        difference = loss - self.mean
        self.mean += share * difference
        self.variance = (1.0 - share) * (self.variance + share * difference * difference)
        if self.count <= FIRST:
            self.first = self.mean
