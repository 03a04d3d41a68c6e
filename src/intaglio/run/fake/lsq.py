"""LSQ: the steps of grids are learned with the weights.

Source: Esser et al. 2020 (arXiv:1902.08153). The gradient of a step is that of equation 3, times
1 / sqrt(N Qp) with N the numbers of one value, or those of a weight for each of its scales, and Qp
the highest integer minus the zero point (section 2.2). We start from the calibrated steps instead
of 2 E|x| / sqrt(Qp), learn the logarithm of a step, so that it stays above zero and moves in
per cents whatever its size, and give weights a step for each output channel where the plan has one.
Zero points stay.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from intaglio.numerics.spec import QuantParams
from intaglio.run.fake.fake_quantize import Edges
from intaglio.run.fake.learned_step import LearnedStep
from intaglio.run.fake.ranges import RANGE_METHODS, RangeMethod, WeightRange, edges_of
from intaglio.run.fake.swapped import swapped


class LsqValues(LearnedStep):
    """A learned step of values."""

    def edges(self, used: QuantParams, count: int) -> Edges:
        """Return the edges, all of which move with the step."""
        learned = self.learned()
        factor = gradient_factor(count, self.spec.qmax - used.zero)
        return edges_of(used, swapped(learned, used.scale.to(learned.device), factor=factor))


class LsqWeights(WeightRange):
    """Learned steps of a weight.

    Attributes:
        log: Learned logarithms of the steps over the calibrated ones, [C] or [].
    """

    def __init__(self, start: QuantParams, weight: Tensor) -> None:
        """Start from the calibrated steps."""
        super().__init__(start, weight)
        self.log = nn.Parameter(torch.zeros_like(start.scale))

    def wished(self, weight: Tensor) -> Tensor:
        """Return the learned steps."""
        return (self.start_scale * self.log.detach().exp()).float()

    def step(self, used: Tensor, count: int) -> Tensor:
        """Return the steps that count, with gradients for the learned ones."""
        learned = self.start_scale * self.log.exp()
        return swapped(
            learned, used.to(learned.device), factor=gradient_factor(count, self.spec.qmax)
        )


def gradient_factor(count: int, highest: int) -> float:
    """Return 1 / sqrt(N Qp), with Qp at least 1."""
    return 1.0 / math.sqrt(max(1, count) * max(1, highest))


RANGE_METHODS.register("lsq")(
    RangeMethod(LsqValues, LsqWeights, "steps of values and weights learned (LSQ)")
)
