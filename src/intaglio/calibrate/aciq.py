"""Analytic clipping: the best range of a Laplace or a normal distribution, from two moments.

Source: Banner et al. 2019 (arXiv:1810.05723), sections 2 to 4. Values within [-alpha, alpha] are
rounded to the middles of 2**bits equal cells, so the rounding error has the variance
alpha**2 / (3 * 4**bits); beyond, the error is the distance to the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial

from torch import Tensor

from intaglio.calibrate.calibrator import CALIBRATORS
from intaglio.calibrate.histogram import Histogram
from intaglio.numerics.spec import INT8_ACTIVATION, QuantSpec

LIKELIER_LAPLACE = math.sqrt(math.pi / (2.0 * math.e))
"""Mean deviation over standard deviation where both distributions are equally likely: 0.7602.

Below it values are more peaked (Laplace: 0.707), above flatter (normal: 0.798).
"""


@dataclass(frozen=True)
class Moments:
    """What analytic clipping knows of a distribution.

    Attributes:
        mean: E[x].
        deviation: E|x - E[x]|, the Laplace distribution's b.
        std: Standard deviation.
    """

    mean: float
    deviation: float
    std: float


def laplace_width(moments: Moments, bits: int) -> float:
    """Return the best clipping distance from the mean, if values follow Laplace's distribution."""
    return laplace_clip(bits) * moments.deviation


def gauss_width(moments: Moments, bits: int) -> float:
    """Return the best clipping distance from the mean, if values are normally distributed."""
    return gauss_clip(bits) * moments.std


def likelier_width(moments: Moments, bits: int) -> float:
    """Return the distance for that of both distributions which makes the values likelier."""
    peaked = moments.deviation < LIKELIER_LAPLACE * moments.std
    return (laplace_width if peaked else gauss_width)(moments, bits)


@dataclass
class Analytic:
    """Clips at a distance from the mean that depends on moments and bits alone.

    Values of one sign (behind a ReLU) have the whole grid on one side: the distance is then that of
    one bit more, and the near end is left as it is. Memory: one histogram of fixed size, from which
    the moments are taken: the mean deviation needs the mean first.

    Attributes:
        width: Distance from the mean, given moments and bits.
    """

    spec: QuantSpec = INT8_ACTIVATION
    width: Callable[[Moments, int], float] = likelier_width
    histogram: Histogram = field(default_factory=Histogram)

    def observe(self, values: Tensor) -> None:
        """Take in one batch."""
        self.histogram.add(values)

    def range(self) -> tuple[Tensor, Tensor]:
        """Return (low, high)."""
        seen = self.histogram
        low, high = seen.low, seen.high
        if not seen.has_spread():
            return low, high
        moments = histogram_moments(*seen.filled())
        one_sided = bool((low >= 0.0) | (high <= 0.0))
        width = self.width(moments, self.spec.bits + (one_sided and not self.spec.symmetric))
        if self.spec.symmetric:
            limit = abs(moments.mean) + width
            return seen.within(-limit, limit)
        found = seen.within(moments.mean - width, moments.mean + width)
        return low if low >= 0.0 else found[0], high if high <= 0.0 else found[1]


CALIBRATORS.register("aciq")(Analytic)
CALIBRATORS.register("aciq-laplace")(partial(Analytic, width=laplace_width))
CALIBRATORS.register("aciq-gauss")(partial(Analytic, width=gauss_width))


def histogram_moments(counts: Tensor, edges: Tensor) -> Moments:
    """Return the moments of a histogram: counts [N] float64, edges [N + 1] float64."""
    middles, shares = (edges[:-1] + edges[1:]) / 2.0, counts / counts.sum()
    mean = float(shares @ middles)
    away = middles - mean
    return Moments(mean, float(shares @ away.abs()), math.sqrt(float(shares @ away.square())))


@cache
def laplace_clip(bits: int) -> float:
    """Return the best alpha in units of the mean deviation: W(3 * 4**bits), W Lambert's function.

    Paper: equation 13 with W for its root.
    """
    wanted = math.log(3.0 * 4.0**bits)
    alpha = wanted
    for _ in range(50):  # alpha + ln(alpha) = wanted, by Newton's method
        alpha -= (alpha + math.log(alpha) - wanted) / (1.0 + 1.0 / alpha)
    return alpha


@cache
def gauss_clip(bits: int) -> float:
    """Return the best alpha in units of the standard deviation, where `gauss_error` is flat."""
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2.0
        clipped = middle * math.erfc(middle / math.sqrt(2.0))
        density = math.sqrt(2.0 / math.pi) * math.exp(-(middle**2) / 2.0)
        rises = clipped - density + middle / (3.0 * 4.0**bits) > 0.0
        low, high = (low, middle) if rises else (middle, high)
    return (low + high) / 2.0


def laplace_error(alpha: float, bits: int) -> float:
    """Return the mean squared error at `alpha` mean deviations, in squares of those."""
    return 2.0 * math.exp(-alpha) + alpha**2 / (3.0 * 4.0**bits)


def gauss_error(alpha: float, bits: int) -> float:
    """Return the mean squared error at `alpha` standard deviations, in squares of those."""
    outside = (1.0 + alpha**2) * math.erfc(alpha / math.sqrt(2.0))
    density = math.sqrt(2.0 / math.pi) * math.exp(-(alpha**2) / 2.0)
    return outside - alpha * density + alpha**2 / (3.0 * 4.0**bits)
