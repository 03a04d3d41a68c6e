"""What a calibrator is: it sees values, batch by batch, and in the end names a range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from intaglio.numerics.spec import QuantSpec
from intaglio.registry import Registry


class Calibrator(Protocol):
    """Sees values, knows nothing of graphs. Its memory does not grow."""

    def observe(self, values: Tensor) -> None:
        """Take in one batch of a value, [N, ...] float32."""

    def range(self) -> tuple[Tensor, Tensor]:
        """Return (low, high), [] float32 each."""


CALIBRATORS: Registry[Callable[[QuantSpec], Calibrator]] = Registry("calibrator")
"""Name to what makes a fresh calibrator for the grid that its range will be used for."""


def dense(values: Tensor) -> Tensor:
    """Return all elements as one axis, without a copy where memory is dense in any axis order.

    Reducing a channels-last tensor is several times slower than reducing its memory as one axis.
    """
    if values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last):
        return values.permute(0, 2, 3, 1).reshape(-1)
    return values.reshape(-1)
