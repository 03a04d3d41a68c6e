"""Percentiles: the range that all but a stated share of the values lie in."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from torch import Tensor

from intaglio.calibrate.calibrator import CALIBRATORS
from intaglio.calibrate.histogram import Histogram, folded, quantile
from intaglio.numerics.spec import INT8_ACTIVATION, QuantSpec

KEPT = (99.9, 99.99, 99.999)
"""Percent of the values that the registered calibrators keep."""


@dataclass
class Percentile:
    """Clips the rarest values.

    Source: Wu et al. 2020 (arXiv:2004.09602), section 5.1, which clips magnitudes. Where the grid
    is symmetric, so do we. Else values of both signs lose half of the share at each end. Values of
    one sign (behind a ReLU) lose all of it at the far end: at the near end the grid has its zero,
    and clipping there would gain nothing. Memory: one histogram of fixed size.

    Attributes:
        keep: Percent of the values to keep, 0..100; 100 is exactly minimum and maximum.
    """

    spec: QuantSpec = INT8_ACTIVATION
    keep: float = 99.99
    histogram: Histogram = field(default_factory=Histogram)

    def observe(self, values: Tensor) -> None:
        """Take in one batch."""
        self.histogram.add(values)

    def range(self) -> tuple[Tensor, Tensor]:
        """Return (low, high)."""
        seen = self.histogram
        if not seen.has_spread() or self.keep >= 100.0:
            return seen.low, seen.high
        counts, edges = seen.filled()
        clipped = 1.0 - self.keep / 100.0
        if self.spec.symmetric:
            limit = quantile(*folded(counts, edges), 1.0 - clipped)
            return seen.within(-limit, limit)
        if seen.low >= 0.0:
            return seen.low, seen.within(0.0, quantile(counts, edges, 1.0 - clipped))[1]
        if seen.high <= 0.0:
            return seen.within(quantile(counts, edges, clipped), 0.0)[0], seen.high
        low, high = (quantile(counts, edges, at) for at in (clipped / 2.0, 1.0 - clipped / 2.0))
        return seen.within(low, high)


for _kept in KEPT:
    CALIBRATORS.register(f"percentile-{_kept}")(partial(Percentile, keep=_kept))
