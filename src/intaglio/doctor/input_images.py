"""What the calibration images themselves look like: levels, contrast, how much they differ."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import torch
from torch import Tensor

MOST_HASHES = 4096
"""Images that are told apart; later ones count as new."""


@dataclass
class InputSeen:
    """What was seen of the images.

    Attributes:
        count: How many.
        low, high: Smallest and largest number in any of them.
        total, squares: [C] float64, sums over images and positions.
        positions: Numbers seen in each channel.
        pixel_total, pixel_squares: [C, H, W] float64, sums over images.
        contrast: Sum of the images' own standard deviations.
        power, steps: Sums over images of their own variance, and of the mean square of the
            differences between neighbours in a row.
        hashes: Of different images.
    """

    count: int = 0
    low: float = float("inf")
    high: float = float("-inf")
    total: Tensor = field(default_factory=lambda: torch.zeros(()))
    squares: Tensor = field(default_factory=lambda: torch.zeros(()))
    positions: int = 0
    pixel_total: Tensor = field(default_factory=lambda: torch.zeros(()))
    pixel_squares: Tensor = field(default_factory=lambda: torch.zeros(()))
    contrast: float = 0.0
    power: float = 0.0
    steps: float = 0.0
    hashes: set[bytes] = field(default_factory=set)

    def add(self, images: Tensor) -> None:
        """Take in images [n, C, ...], n >= 1."""
        low, high = images.aminmax()
        self.low, self.high = min(self.low, float(low)), max(self.high, float(high))
        squares = images.square()
        # few numbers are added in float32, which is fast; the many sums of them in float64
        self.total = self.total + _by_channel(images)
        self.squares = self.squares + _by_channel(squares)
        self.positions += images[:, 0].numel()
        self.pixel_total = self.pixel_total + images.sum(0).double()
        self.pixel_squares = self.pixel_squares + squares.sum(0).double()
        variances = _own_variance(images).double()
        self.contrast += float(variances.sqrt().sum())
        self.power += float(variances.sum())
        if images.ndim > 2:
            self.steps += float(images.diff(dim=-1).square().flatten(1).mean(1).double().sum())
        self.count += len(images)
        if len(self.hashes) < MOST_HASHES:
            for image in images:
                content = image.contiguous().numpy()
                self.hashes.add(hashlib.blake2b(content, digest_size=8).digest())

    @property
    def different(self) -> int:
        """How many of the images are different, to the bit."""
        return self.count if len(self.hashes) >= MOST_HASHES else len(self.hashes)

    @property
    def mean(self) -> Tensor:
        """Mean of each channel, [C] float64."""
        return self.total / max(self.positions, 1)

    @property
    def std(self) -> Tensor:
        """Standard deviation of each channel over all images and positions, [C] float64."""
        return (self.squares / max(self.positions, 1) - self.mean.square()).clamp(min=0.0).sqrt()

    @property
    def own_contrast(self) -> float:
        """Standard deviation within an image and channel, the mean over images."""
        return self.contrast / max(self.count, 1)

    @property
    def smoothness(self) -> float:
        """Correlation of neighbours in a row within images: 1 flat or smooth, 0 noise."""
        return 1.0 - self.steps / (2.0 * self.power) if self.power > 0 else 1.0

    @property
    def variety(self) -> float:
        """How much images differ at one position, over how much all numbers vary: 0 alike, 1."""
        mean = self.pixel_total / max(self.count, 1)
        between = (self.pixel_squares / max(self.count, 1) - mean.square()).clamp(min=0.0).mean()
        overall = self.std.square().mean()
        return float((between / overall).sqrt()) if overall > 0 else 0.0


def _by_channel(images: Tensor) -> Tensor:
    """Return the sum of each channel, [n, C, ...] to [C] float64."""
    return images.reshape(*images.shape[:2], -1).sum(2).double().sum(0)


def _own_variance(images: Tensor) -> Tensor:
    """Return the variance within each image, the mean over its channels, [n]."""
    flat = images.flatten(2) if images.ndim > 2 else images.unsqueeze(1)
    return flat.var(2, unbiased=False).mean(1)
