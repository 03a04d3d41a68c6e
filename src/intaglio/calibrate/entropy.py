"""The range whose quantized values have the distribution nearest to that of the values (KL)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from intaglio.calibrate.calibrator import CALIBRATORS
from intaglio.calibrate.histogram import BINS, Histogram, folded
from intaglio.numerics.spec import INT8_ACTIVATION, QuantSpec

CANDIDATES = 256
"""Thresholds tried, each about a hundredth above the one before."""


@CALIBRATORS.register("entropy")
@dataclass
class Entropy:
    """Clips where the Kullback-Leibler divergence of clipped from quantized values is least.

    Source: Migacz 2017 ("8-bit inference with TensorRT") and Wu et al. 2020 (arXiv:2004.09602),
    section 5.1, for magnitudes on a symmetric grid. On an affine grid we clip at -t and t what
    lies beyond, so that values of one sign are clipped at their far end alone. Exact zeros are
    left out: the grid has them whatever its range. Memory: one histogram of fixed size.
    """

    spec: QuantSpec = INT8_ACTIVATION
    histogram: Histogram = field(default_factory=Histogram)

    def observe(self, values: Tensor) -> None:
        """Take in one batch."""
        self.histogram.add(values)

    def range(self) -> tuple[Tensor, Tensor]:
        """Return (low, high); the full range where the grid is finer than the histogram."""
        seen = self.histogram
        if not seen.has_spread():
            return seen.low, seen.high
        counts, edges = seen.filled()
        if self.spec.symmetric:
            counts, edges = folded(counts, edges)
        counts, width, zero = _around_zero(counts, edges)
        levels = 2 ** (self.spec.bits - self.spec.symmetric)
        threshold = best_threshold(counts, zero, levels) * width
        return seen.within(-threshold, threshold)


def best_threshold(counts: Tensor, zero: int, levels: int) -> float:
    """Return the clipping threshold of least divergence in bins from zero; infinity for none.

    Args:
        counts: [N] float64; left as it is.
        zero: Number of the bin that starts at the real 0, 0..N.
        levels: How many integers the grid has.
    """
    size = len(counts)
    thresholds = torch.arange(1, max(zero, size - zero) + 1)
    starts, stops = (zero - thresholds).clamp(min=0), (zero + thresholds).clamp(max=size)
    enough = stops - starts >= levels
    if not bool(enough.any()):
        return float("inf")
    counts = counts.clone()
    if zero < size:  # exact zeros: as many as in the bin beside
        counts[zero] = counts[zero + 1 if zero + 1 < size else zero - 1]
    first = int(enough.nonzero()[0])
    ratio = len(thresholds) / (first + 1)
    steps = (ratio ** (number / (CANDIDATES - 1)) for number in range(CANDIDATES))
    chosen = torch.tensor(sorted({round((first + 1) * step) - 1 for step in steps}))
    found = divergences(counts, starts[chosen], stops[chosen], levels)
    best = int((found == found.min()).nonzero()[-1])  # of equals, the one that clips least
    return float(thresholds[chosen[best]])


def divergences(counts: Tensor, starts: Tensor, stops: Tensor, levels: int) -> Tensor:
    """Return KL(P || Q), [C] float64, for the bins from `starts` to `stops`, [C] int64 each.

    P are the counts of those bins, with what lies outside added to the first and the last of them.
    Q are the counts without that, merged into `levels` groups, each spread evenly over those of its
    bins that are not empty. It is infinite where Q is 0 and P is not. With sums from the left of
    counts, of filled bins and of counts' c log c, a candidate costs its groups, not its bins.

    Args:
        counts: [N] float64.
        levels: At most stops - starts.
    """
    sums, filled, logs = (
        torch.cat([part.new_zeros(1), part.cumsum(0)])
        for part in (counts, (counts > 0).double(), torch.xlogy(counts, counts))
    )
    steps = torch.arange(levels + 1)
    edges = starts[:, None] + (2 * steps * (stops - starts)[:, None] + levels) // (2 * levels)
    mass = sums[edges].diff(dim=1)  # [C, levels]
    density = mass / filled[edges].diff(dim=1).clamp(min=1.0)
    inside, total = sums[stops] - sums[starts], sums[-1]
    below, above = sums[starts], total - sums[stops]
    own = logs[stops] - logs[starts]
    cross = torch.xlogy(mass, density).sum(1)
    for tail, ends, group in ((below, counts[starts], 0), (above, counts[stops - 1], -1)):
        own += torch.xlogy(ends + tail, ends + tail) - torch.xlogy(ends, ends)
        cross += torch.xlogy(tail, density[:, group].where(ends > 0, 0.0))
    found = (own - cross) / total - total.log() + inside.log()
    return found.where(inside > 0, float("inf"))


def _around_zero(counts: Tensor, edges: Tensor) -> tuple[Tensor, float, int]:
    """Return the counts with empty bins up to the real 0, the bins' width, and 0's bin number.

    Where these would be too many, bins are merged in pairs.
    """
    width = float(edges[1] - edges[0])
    numbers = (edges[:-1] / width).round().long()
    while int(numbers.max().clamp(min=0) - numbers.min().clamp(max=0)) >= BINS:
        numbers, width = numbers >> 1, width * 2.0
    first = min(int(numbers[0]), 0)
    size = max(int(numbers[-1]) + 1, 0) - first
    return (
        torch.zeros(size, dtype=counts.dtype).index_add_(0, numbers - first, counts),
        width,
        -first,
    )
