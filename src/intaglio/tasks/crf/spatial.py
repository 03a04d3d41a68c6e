"""The Gaussian kernel of places alone: one axis after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from intaglio.tasks.crf.kernels import Floats

REACH = 5.0
"""Standard deviations: exp(-5²/2) is 4e-6, and what lies beyond 6e-7 of the whole."""
BLOCK = 16
"""Pixels of one product of matrices: of a whole axis most would be zeros."""


@dataclass(frozen=True, eq=False)
class Spatial:
    """exp(-|p_i - p_j|² / 2 xy²) between the pixels of a picture, up to REACH along each axis.

    Attributes:
        rows: [H, H], of heights alone; columns: [W, W].
        reach: Pixels.
    """

    rows: Floats
    columns: Floats
    reach: int

    @property
    def own(self) -> Floats:
        """1 of each pixel."""
        return np.ones((len(self.rows), len(self.columns)), np.float32)

    def summed(self, values: Floats) -> Floats:
        """Return sum_j k(i, j) values_j of values [C, H, W]."""
        across = np.empty_like(values)
        for here, around in _blocks(len(self.columns), self.reach):
            # one product for all rows of all classes
            part = values[..., around].reshape(-1, around.stop - around.start)
            product = part @ self.columns[around, here]
            across[..., here] = product.reshape(*values.shape[:2], -1)
        summed = np.empty_like(values)
        for here, around in _blocks(len(self.rows), self.reach):
            summed[:, here] = self.rows[here, around] @ across[:, around]
        return summed


def spatial(size: tuple[int, int], xy: float) -> Spatial:
    """Return the kernel of a picture of (height, width), `xy` pixels wide."""
    rows, columns = (_along(length, xy) for length in size)
    return Spatial(rows, columns, int(np.ceil(REACH * xy)))


def _along(length: int, xy: float) -> Floats:
    """Return the kernel [length, length] between pixels of one axis."""
    apart = np.subtract.outer(np.arange(length), np.arange(length)) / xy
    kernel = np.exp(-(apart**2) / 2)
    kernel[np.abs(apart) > REACH] = 0
    return kernel.astype(np.float32)


def _blocks(length: int, reach: int) -> list[tuple[slice, slice]]:
    """Return pieces of an axis, and of each what is within its reach."""
    return [
        (
            slice(start, min(start + BLOCK, length)),
            slice(max(0, start - reach), min(start + BLOCK + reach, length)),
        )
        for start in range(0, length, BLOCK)
    ]
