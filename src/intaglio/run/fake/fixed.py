"""Grids that stay as calibration found them."""

from __future__ import annotations

from torch import Tensor

from intaglio.numerics.spec import QuantParams
from intaglio.run.fake.fake_quantize import Edges
from intaglio.run.fake.ranges import (
    RANGE_METHODS,
    RangeMethod,
    ValueRange,
    WeightRange,
    edges_of,
)


class FixedValues(ValueRange):
    """The calibrated grid of values; nothing is learned."""

    start_scale: Tensor
    start_zero: Tensor

    def __init__(self, start: QuantParams) -> None:
        """Keep the grid."""
        super().__init__(start)
        self.register_buffer("start_scale", start.scale.clone())
        self.register_buffer("start_zero", start.zero_point.clone())

    def wished(self) -> QuantParams:
        """Return the calibrated grid."""
        return QuantParams(self.start_scale, self.start_zero, self.spec)

    def edges(self, used: QuantParams, count: int) -> Edges:
        """Return the grid's edges, without gradients."""
        return edges_of(used, used.scale)


class FixedWeights(WeightRange):
    """The calibrated scales of a weight; nothing is learned."""

    def wished(self, weight: Tensor) -> Tensor:
        """Return the calibrated scales."""
        return self.start_scale


RANGE_METHODS.register("fixed")(RangeMethod(FixedValues, FixedWeights, "as calibration found them"))
