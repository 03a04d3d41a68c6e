"""The range of least squared error on the very grid that it makes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from intaglio.calibrate.calibrator import CALIBRATORS
from intaglio.calibrate.histogram import Histogram, folded
from intaglio.numerics.affine import fake_quantize, params_from_range
from intaglio.numerics.spec import INT8_ACTIVATION, QuantSpec

MOST_BITS = 10
"""Of a grid whose steps are wider than the histogram's bins."""
SHRINKS = 2.0 ** (-torch.arange(40.0) / 4.0)
"""By how much both ends are drawn in at first."""
SPANS = (4.0, 2.0, 1.3, 1.08, 1.02)
"""By how much one end is then moved at most, at each round; the next spans what is between two."""
MOVES = torch.linspace(1.0, -1.0, 17)


@CALIBRATORS.register("mse")
@dataclass
class SquaredError:
    """Clips where rounding and clipping together cost the least squared error.

    Both ends of an affine grid are moved in turn, by coordinate descent; the errors are those of
    the grid itself, with its rounded zero point, on a histogram. Source: Wu et al. 2020
    (arXiv:2004.09602), section 5.1, and Nagel et al. 2021 (arXiv:2106.08295), section 3.1; both
    scan one threshold. Memory: one histogram of fixed size.
    """

    spec: QuantSpec = INT8_ACTIVATION
    histogram: Histogram = field(default_factory=Histogram)

    def observe(self, values: Tensor) -> None:
        """Take in one batch."""
        self.histogram.add(values)

    def range(self) -> tuple[Tensor, Tensor]:
        """Return (low, high); the full range where the grid has more than 10 bits."""
        seen = self.histogram
        if not seen.has_spread() or self.spec.bits > MOST_BITS:
            return seen.low, seen.high
        counts, edges = seen.filled()
        low, high = float(seen.low), float(seen.high)
        if self.spec.symmetric:
            counts, edges = folded(counts, edges)
            low, high = 0.0, max(-low, high)
        middles = ((edges[:-1] + edges[1:]) / 2.0).clamp(low, high).float()
        filled = counts > 0
        low, high = least_error_range(middles[filled], counts[filled], (low, high), self.spec)
        return seen.within(-high if self.spec.symmetric else low, high)


def least_error_range(
    values: Tensor, weights: Tensor, full: tuple[float, float], spec: QuantSpec
) -> tuple[float, float]:
    """Return the (low, high) within `full` of least weighted squared error.

    Args:
        values, weights: [N] float32 and float64: what is quantized, and how often it occurs.
        full: The range to start from. An end at or beyond zero (a low >= 0) is left as it is.
    """
    ends = torch.tensor(full)
    both = ends * SHRINKS[:, None]  # [40, 2]
    moving = [index for index, sign in ((1, 1.0), (0, -1.0)) if sign * full[index] > 0.0]
    if full[0] > 0.0 or full[1] < 0.0:
        near = 0 if full[0] > 0.0 else 1
        both[:, near] = 0.0
    found = both[squared_errors(values, weights, both, spec).argmin()]
    for span in SPANS:
        for index in moving:
            tried = found.repeat(len(MOVES), 1)
            tried[:, index] *= span**MOVES
            tried = torch.maximum(torch.minimum(tried, ends.clamp(min=0)), ends.clamp(max=0))
            found = tried[squared_errors(values, weights, tried, spec).argmin()]
    return float(found[0]), float(found[1])


def squared_errors(values: Tensor, weights: Tensor, ranges: Tensor, spec: QuantSpec) -> Tensor:
    """Return the weighted sum of squared errors, [C] float64, of the grids of `ranges` [C, 2]."""
    grids = params_from_range(ranges[:, 0], ranges[:, 1], replace(spec, axis=0))
    rounded = fake_quantize(values.expand(len(ranges), -1), grids)
    return (rounded - values).square().double() @ weights
