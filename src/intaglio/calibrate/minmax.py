"""The full range: the smallest and the largest value ever seen."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from intaglio.calibrate.calibrator import CALIBRATORS, dense
from intaglio.numerics.spec import INT8_ACTIVATION, QuantSpec


@CALIBRATORS.register("minmax")
@dataclass
class MinMax:
    """Minimum and maximum over all batches, whatever the grid; nothing is clipped.

    Memory: two numbers.
    """

    spec: QuantSpec = INT8_ACTIVATION
    low: Tensor = field(default_factory=lambda: torch.tensor(float("inf")))
    high: Tensor = field(default_factory=lambda: torch.tensor(float("-inf")))

    def observe(self, values: Tensor) -> None:
        """Take in one batch."""
        low, high = dense(values).aminmax()
        self.low, self.high = torch.minimum(self.low, low), torch.maximum(self.high, high)

    def range(self) -> tuple[Tensor, Tensor]:
        """Return (low, high)."""
        return self.low, self.high
