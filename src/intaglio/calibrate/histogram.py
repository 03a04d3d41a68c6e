"""A streaming histogram: a fixed number of bins whose width doubles as the range grows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from intaglio.calibrate.calibrator import dense

BINS = 4096
"""Between 2048 and 4096 of them lie within the range of all values seen."""
PIECE = 2**16
"""Values counted at once: a piece and its bin numbers stay in the processor's second-level cache.

Against whole tensors, whose copies are made in fresh memory, that is twice as fast.
"""
LANES = 2
"""Copies of the counts that neighbouring values take turns in.

Neighbours are often equal (zeros behind a ReLU), and a processor waits for one increment before it
starts the next of the same number.
"""
WHOLE = 2**16
"""Values with more numbers an image than this are counted in part."""
RUN, PERIODS = 64, (257, 263, 269, 271)
"""Of those, 64 in a row of every 257, or of the next prime where an axis is a multiple of it.

A period that shares no factor with the number of channels meets each of them equally often.
"""
EXPONENTS = (-120, 120)
"""Bin widths stay powers of two whose reciprocals are normal float32 numbers."""
DIGITS = 20
"""Bin numbers stay below 2**20, so that values far from zero still have exact ones in float32."""


OFFSETS = (torch.arange(PIECE) % LANES * BINS).float()
"""The first bin number of each value's lane, [PIECE]; bin numbers of all lanes fit into int16."""


@dataclass
class Histogram:
    """Counts of the values seen, and their exact minimum and maximum.

    Bin i holds the values in [(first + i) * width, (first + i + 1) * width). The width is a power
    of two and edges are its multiples, so that bins merge in pairs without splitting a count, and
    the order in which values arrive does not matter. A value within 2**-11 of a width below an edge
    may be counted above it. Once a value is NaN or infinite, that is what `low` or `high` say, and
    nothing more is counted. Of a value with more than 65536 numbers an image, a quarter is counted,
    always the same positions: a share of the numbers is then known to one part in a thousand or so,
    which the choice of images is not. Memory: BINS counts, however many values.

    Attributes:
        low, high: [] float32, on the values' device; (inf, -inf) before the first value.
        counts: [BINS] int64.
        width: Of a bin, in the values' unit; 0.0 before the first value.
        first: Number of the first bin; bin number 0 starts at the real 0.
    """

    low: Tensor = field(default_factory=lambda: torch.tensor(float("inf")))
    high: Tensor = field(default_factory=lambda: torch.tensor(float("-inf")))
    counts: Tensor = field(default_factory=lambda: torch.zeros(BINS, dtype=torch.int64))
    width: float = 0.0
    first: int = 0

    def add(self, values: Tensor) -> None:
        """Count a batch of values, [N, ...] float32."""
        if not values.numel():
            return
        flat = dense(values)
        low, high = flat.aminmax()
        self.low, self.high = torch.minimum(self.low, low), torch.maximum(self.high, high)
        if self.is_finite():
            self._make_room()
            parts = _counted_part(flat, tuple(values.shape))
            self.counts = self.counts.to(flat.device) + self._count(parts)

    def is_finite(self) -> bool:
        """Whether there is anything in it, and all of it was finite."""
        return bool(self.low.isfinite() & self.high.isfinite())

    def has_spread(self) -> bool:
        """Whether there is something to clip: finite values that are not all the same."""
        return self.is_finite() and bool(self.low < self.high)

    def within(self, low: float, high: float) -> tuple[Tensor, Tensor]:
        """Return [low, high] cut to what was seen, [] float32 each."""
        seen = self.low.cpu(), self.high.cpu()
        return torch.tensor(low).clamp(*seen), torch.tensor(high).clamp(*seen)

    def filled(self) -> tuple[Tensor, Tensor]:
        """Return (counts [N] float64, edges [N + 1] float64) from the lowest to the highest value.

        The outer edges are those of bins: they lie up to one width outside [low, high].
        """
        start = math.floor(self.low.item() / self.width) - self.first
        stop = math.floor(self.high.item() / self.width) - self.first + 1
        numbers = torch.arange(start, stop + 1, dtype=torch.float64) + self.first
        counts = self.counts[start : stop + 1].cpu().double()
        counts[-2] += counts[-1]  # a maximum right below an edge may lie above it
        return counts[:-1], numbers * self.width

    def _make_room(self) -> None:
        """Widen and shift the bins until they hold the whole of [low, high].

        The last bin stays empty: the value just below its edge may be rounded into it.
        """
        low, high = self.low.item(), self.high.item()
        width = max(self.width, _least_width(low, high))
        while math.floor(high / width) - math.floor(low / width) > BINS - 2:
            width *= 2.0
        first = math.floor(low / width)
        if self.width == 0.0:
            self.width, self.first = width, first
        elif width != self.width or first < self.first or high >= (self.first + BINS - 1) * width:
            numbers = torch.arange(self.first, self.first + BINS, device=self.counts.device)
            doublings = min(int(math.log2(width / self.width)), 62)
            into = ((numbers >> doublings) - first).clamp(0, BINS - 1)  # bins outside are empty
            self.counts = torch.zeros_like(self.counts).index_add_(0, into, self.counts)
            self.width, self.first = width, first

    def _count(self, parts: list[Tensor]) -> Tensor:
        """Return how many of the values, [R, K] float32 within the bins each, every bin holds."""
        length = parts[0].shape[1]
        rows = min(max(len(part) for part in parts), max(PIECE // length, 1))
        reals = parts[0].new_empty(rows, length)
        numbers = reals.new_empty(rows * length, dtype=torch.int16)
        starts = (OFFSETS[: rows * length].to(reals.device) - self.first).view(rows, length)
        counts = torch.zeros(LANES * BINS, dtype=torch.int64, device=reals.device)
        for piece in (piece for part in parts for piece in torch.split(part, rows)):
            count = len(piece)
            torch.add(starts[:count], piece, alpha=1.0 / self.width, out=reals[:count])
            number = numbers[: piece.numel()]
            number.copy_(reals[:count].view(-1))  # rounds towards zero, and nothing is below it
            counts += torch.bincount(number, minlength=LANES * BINS)
        return counts.view(LANES, BINS).sum(0)


def _counted_part(flat: Tensor, shape: tuple[int, ...]) -> list[Tensor]:
    """Return what is counted of values of a shape [N, ...], as [R, at most WHOLE] each."""
    images = flat.view(*shape[:1], -1) if shape else flat.view(1, 1)
    if images.shape[1] <= WHOLE:
        return [images]
    period = next((prime for prime in PERIODS if all(size % prime for size in shape[1:])), 1)
    rows = images.shape[1] // period
    return [image[: rows * period].view(rows, period)[:, :RUN] for image in images]


def quantile(counts: Tensor, edges: Tensor, share: float) -> float:
    """Return the value below which `share` of the counts lie, interpolated within its bin.

    Args:
        counts: [N] float64, at least one above zero; spread evenly over each bin.
        edges: [N + 1] float64, rising.
        share: 0..1.
    """
    below = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    wanted = below[-1] * share
    index = (torch.searchsorted(below, wanted) - 1).clamp(0, len(counts) - 1)
    inside = ((wanted - below[index]) / counts[index].clamp(min=1.0)).clamp(0.0, 1.0)
    return float(edges[index] + inside * (edges[index + 1] - edges[index]))


def folded(counts: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Return the histogram of magnitudes: (counts [M], edges [M + 1]), the first edge 0.

    For a grid whose zero point is the integer 0, only magnitudes matter.
    """
    width = float(edges[1] - edges[0])
    numbers = (edges[:-1] / width).round().long()
    magnitudes = torch.maximum(numbers, -numbers - 1)  # bin -1 is the mirror image of bin 0
    size = int(magnitudes.max()) + 1
    sums = torch.zeros(size, dtype=counts.dtype).index_add_(0, magnitudes, counts)
    return sums, torch.arange(size + 1, dtype=torch.float64) * width


def _least_width(low: float, high: float) -> float:
    """Return the least power of two with which [low, high] fits and bin numbers stay exact."""
    needed = max((high - low) / BINS, max(abs(low), abs(high)) / 2**DIGITS)
    least, most = EXPONENTS
    exponent = math.ceil(math.log2(needed)) if needed else least
    return float(2.0 ** min(max(exponent, least), most))
