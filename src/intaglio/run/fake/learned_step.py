"""A step of values that is learned, by its logarithm: what LSQ, LSQ+ and PACT have in common."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intaglio.numerics.spec import QuantParams
from intaglio.run.fake.ranges import ValueRange


class LearnedStep(ValueRange):
    """A grid of values that starts at the calibrated one and keeps its zero point.

    Attributes:
        start_scale, start_zero: Those of the calibrated grid, [].
        log: Learned logarithm of the step over the calibrated one, []. So the step stays above
            zero, and moves in per cents whatever its size.
    """

    start_scale: Tensor
    start_zero: Tensor

    def __init__(self, start: QuantParams) -> None:
        """Start from the calibrated grid."""
        super().__init__(start)
        self.log = nn.Parameter(torch.zeros(()))
        self.register_buffer("start_scale", start.scale.clone())
        self.register_buffer("start_zero", start.zero_point.clone())

    def wished(self) -> QuantParams:
        """Return the grid with the learned step."""
        return QuantParams(self.wished_scale(), self.start_zero, self.spec)

    def wished_scale(self) -> Tensor:
        """Return the learned step."""
        return (self.start_scale * self.log.detach().exp()).float()

    def learned(self) -> Tensor:
        """Return the learned step, [], with its gradient."""
        return self.start_scale * self.log.exp()
