"""Ranges of values that follow the smallest and largest values of batches.

    low <- decay low + (1 - decay) smallest of the batch,    high likewise

Source: Jacob et al. 2018 (arXiv:1712.05877), section 3.1. How we differ: the averages start at the
calibrated range; decay is lower than the paper's (0.999 and more), for runs that are shorter than
its thousands of steps; and the smallest and largest are over all values that share a grid, and over
all processes. Weights are rounded by their largest magnitudes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from intaglio.errors import RangeError
from intaglio.numerics.affine import params_from_range
from intaglio.numerics.spec import QuantParams
from intaglio.run.fake.fake_quantize import Edges
from intaglio.run.fake.largest_weights import LargestWeights
from intaglio.run.fake.ranges import RANGE_METHODS, RangeMethod, ValueRange, edges_of

DECAY = 0.99
"""What is left of an average after a step: it forgets half of what it was in 69 of them."""


class MovingAverageValues(ValueRange):
    """Averages of the smallest and the largest value of a batch; nothing is learned.

    Attributes:
        low, high: The averages, [].
    """

    low: Tensor
    high: Tensor
    observes = True

    def __init__(self, start: QuantParams) -> None:
        """Start from the calibrated range."""
        super().__init__(start)
        ends = edges_of(start, start.scale)
        self.register_buffer("low", ends.low.clone())
        self.register_buffer("high", ends.high.clone())
        self._seen: tuple[Tensor, Tensor] | None = None

    def wished(self) -> QuantParams:
        """Return the grid over the averages.

        Raises:
            RangeError: If there is none.
        """
        low, high = self.low.cpu(), self.high.cpu()
        if not bool(self.wished_scale() > 0.0):
            raise RangeError(f"no grid from {float(low):g} to {float(high):g}")
        return params_from_range(low, high, self.spec)

    def wished_scale(self) -> Tensor:
        """Return the step of the grid over the averages and zero."""
        span = self.high.clamp(min=0.0) - self.low.clamp(max=0.0)
        return span / (self.spec.qmax - self.spec.qmin)

    def edges(self, used: QuantParams, count: int) -> Edges:
        """Return the grid's edges, without gradients."""
        return edges_of(used, used.scale)

    def observe(self, values: Tensor, bounds: tuple[float, float] | None) -> None:
        """Widen what was seen of this step by more of its values."""
        if not values.numel():
            return  # of several processes one may have no image
        low, high = values.detach().aminmax()
        if bounds is not None:
            low, high = low.clamp(*bounds), high.clamp(*bounds)
        if self._seen is not None:
            low, high = torch.minimum(low, self._seen[0]), torch.maximum(high, self._seen[1])
        self._seen = low, high

    def seen(self) -> tuple[Tensor, Tensor]:
        """Return the smallest and largest of this step's values here."""
        if self._seen is None:
            return torch.full_like(self.low, math.inf), torch.full_like(self.high, -math.inf)
        low, high = self._seen
        return low.to(self.low), high.to(self.high)

    def follow(self, low: Tensor, high: Tensor) -> None:
        """Take the smallest and largest of a step into the averages."""
        self._seen = None
        is_nothing = low > high  # not so for NaN, which the watch has to see
        self.low.copy_(torch.where(is_nothing, self.low, self.low.lerp(low, 1.0 - DECAY)))
        self.high.copy_(torch.where(is_nothing, self.high, self.high.lerp(high, 1.0 - DECAY)))


RANGE_METHODS.register("moving-average")(
    RangeMethod(
        MovingAverageValues,
        LargestWeights,
        "moving averages of the smallest and largest values, weights by magnitude",
    )
)
