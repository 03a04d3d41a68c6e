"""What a kernel between the pixels of a picture is, and the messages that it carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Kernel(Protocol):
    """A symmetric kernel k between pixels, all of its values >= 0."""

    @property
    def own(self) -> Floats:
        """k(i, i) of each pixel, [H, W], > 0."""

    def summed(self, values: Floats) -> Floats:
        """Return sum_j k(i, j) values_j, with j = i, of values [C, H, W], in their shape."""


@dataclass(frozen=True, eq=False)
class Message:
    """One kernel of a field, normalised: k(i, j) / sqrt(d_i d_j), with d_i = sum_j k(i, j).

    The sums d have the pixel itself in them; what a pixel would tell itself is then left out. A
    pixel that has nobody like itself so hears nothing, rather than what is far away in full.

    Attributes:
        kernel: Not normalised.
        weight: > 0, in nats.
        share: 1 / sqrt(d), [H, W].
    """

    kernel: Kernel
    weight: float
    share: Floats

    def heard(self, beliefs: Floats) -> Floats:
        """Return weight * sum_{j != i} k(i, j) beliefs_j, normalised, of beliefs [C, H, W]."""
        heard = self.kernel.summed(beliefs * self.share)
        heard *= self.share
        heard -= beliefs * (self.kernel.own * self.share**2)
        heard *= np.float32(self.weight)
        return heard


def message(kernel: Kernel, weight: float) -> Message:
    """Return the kernel, normalised, with its weight in nats."""
    everyone = np.ones((1, *kernel.own.shape), np.float32)
    share = 1 / np.sqrt(kernel.summed(everyone)[0])
    return Message(kernel, weight, share.astype(np.float32))


def places(size: tuple[int, int]) -> Floats:
    """Return the (row, column) of each pixel of a picture of (height, width), [H, W, 2]."""
    return np.moveaxis(np.indices(size, np.float32), 0, -1)


def bilateral_features(picture: NDArray[np.uint8], xy: float, rgb: float) -> Floats:
    """Return where each pixel [H, W, 3] stands for the bilateral kernel, [H, W, 5].

    The kernel is exp(-|f_i - f_j|² / 2) of these: rows and columns in units of `xy` pixels, colours
    in units of `rgb` of 255.
    """
    near = places((picture.shape[0], picture.shape[1])) / np.float32(xy)
    return np.concatenate([near, picture.astype(np.float32) / np.float32(rgb)], axis=-1)
