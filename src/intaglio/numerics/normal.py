"""Normal distributions of channels, and what a clamp makes of their means and variances."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.errors import RangeError


@dataclass(frozen=True, eq=False)
class Normal:
    """Means and standard deviations of a value's channels, each taken as a normal distribution.

    Attributes:
        mean: [C] float64.
        std: [C] float64, >= 0; 0 is a constant.

    Raises:
        RangeError: If the two differ in shape or type, or a number is not finite, or std < 0.
    """

    mean: Tensor
    std: Tensor

    def __post_init__(self) -> None:
        for moment in (self.mean, self.std):
            if moment.dtype != torch.float64 or moment.shape != self.mean.shape or moment.ndim != 1:
                raise RangeError(
                    f"moments are [C] float64 tensors, got {moment.dtype} {list(moment.shape)}"
                )
            if not moment.isfinite().all():
                raise RangeError("a channel's mean or standard deviation is NaN or infinite")
        if (self.std < 0).any():
            raise RangeError(f"a standard deviation is negative: {float(self.std.min())}")

    def upper(self, deviations: float) -> Tensor:
        """Return mean + deviations * std, [C]."""
        return self.mean + deviations * self.std

    def lower(self, deviations: float) -> Tensor:
        """Return mean - deviations * std, [C]."""
        return self.mean - deviations * self.std


def clipped_mean(normal: Normal, low: float, high: float) -> Tensor:
    """Return E[clamp(x, low, high)] of each channel, [C] float64; the bounds may be infinite.

        E = std (phi(a) - phi(b)) + mean (Phi(b) - Phi(a)) + low Phi(a) + high (1 - Phi(b))
        a = (low - mean) / std,  b = (high - mean) / std

    Summed around clamp(mean), so that nothing cancels far outside of the bounds; a channel with
    std = 0 gives exactly clamp(mean). Source: Nagel et al. 2019 (arXiv:1906.04721), appendix C.
    """
    first, _ = _moments_around_centre(normal, low, high)
    return (normal.mean.clamp(low, high) + first * normal.std).clamp(low, high)


def clipped_variance(normal: Normal, low: float, high: float) -> Tensor:
    """Return Var[clamp(x, low, high)] of each channel, [C] float64, >= 0; 0 where std = 0."""
    first, second = _moments_around_centre(normal, low, high)
    return (second - first * first).clamp(min=0.0) * normal.std * normal.std


def _moments_around_centre(normal: Normal, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Return E[y] and E[y^2] of y = (clamp(x) - clamp(mean)) / std; zeros where std = 0."""
    std = normal.std.where(normal.std > 0, 1.0)
    start, end = (low - normal.mean) / std, (high - normal.mean) / std
    centre = torch.zeros_like(std).clamp(start, end)
    below, above = torch.special.ndtr(start), torch.special.ndtr(-end)
    # Phi(end) - Phi(start), from the tail that both are in
    inside = torch.where(
        start > 0, torch.special.ndtr(-start) - above, torch.special.ndtr(end) - below
    )
    to_start, to_end = _finite(start - centre), _finite(end - centre)
    at_start, at_end = _density(start), _density(end)
    first = to_start * below + to_end * above + at_start - at_end - centre * inside
    # E[z^2; inside] = inside + start phi(start) - end phi(end), and E[z; inside] = phi - phi
    square = inside + _finite(start) * at_start - _finite(end) * at_end
    square = square - 2 * centre * (at_start - at_end) + centre * centre * inside
    second = to_start.square() * below + to_end.square() * above + square
    spread = normal.std > 0
    return first.where(spread, 0.0), second.where(spread, 0.0)


def _density(points: Tensor) -> Tensor:
    return (-0.5 * points * points).exp() / math.sqrt(2 * math.pi)


def _finite(points: Tensor) -> Tensor:
    """Return 0 for infinite bounds: what they are multiplied with is 0."""
    return points.where(points.isfinite(), 0.0)
