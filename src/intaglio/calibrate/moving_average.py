"""The range of a typical image: a moving average of each image's minimum and maximum."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.calibrate.calibrator import CALIBRATORS
from intaglio.numerics.spec import INT8_ACTIVATION, QuantSpec


@CALIBRATORS.register("moving-average")
@dataclass
class MovingAverage:
    """Exponential moving average of per-image minima and maxima.

    Source: Jacob et al. 2018 (arXiv:1712.05877), section 3.1. We average image by image, so that
    the result does not depend on the batch size, and divide by the weights given so far, so that
    the first images count no more than later ones. Rare outliers are clipped, whatever the
    grid. Memory: three numbers.
    """

    spec: QuantSpec = INT8_ACTIVATION
    decay: float = 0.99
    low: float = 0.0
    high: float = 0.0
    weight: float = 0.0

    def observe(self, values: Tensor) -> None:
        """Take in one batch, image by image."""
        lows, highs = values.reshape(values.shape[0], -1).aminmax(dim=1)
        for low, high in zip(lows.tolist(), highs.tolist(), strict=True):
            self.low = self.decay * self.low + (1.0 - self.decay) * low
            self.high = self.decay * self.high + (1.0 - self.decay) * high
            self.weight = self.decay * self.weight + (1.0 - self.decay)

    def range(self) -> tuple[Tensor, Tensor]:
        """Return (low, high); (inf, -inf) before the first image."""
        if self.weight == 0.0:
            return torch.tensor(float("inf")), torch.tensor(float("-inf"))
        return torch.tensor(self.low / self.weight), torch.tensor(self.high / self.weight)
