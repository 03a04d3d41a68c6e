"""How the walks hold what tuning images give: float32, and the twin's integers in one byte."""

from __future__ import annotations

import torch
from torch import Tensor

from intaglio.numerics.spec import QuantParams

FLOAT_BYTES, INTEGER_BYTES = 4, 1


def storage(grid: QuantParams | None) -> torch.dtype:
    """Return the type that holds a value of the twin; a value without a grid is float."""
    if grid is None:
        return torch.float32
    return torch.int8 if grid.spec.bits <= 8 else torch.int16


def stored(value: Tensor, grid: QuantParams | None) -> Tensor:
    """Return a value of the twin as raw integers; a float value as it is."""
    return value if grid is None else (value + grid.zero).to(storage(grid))


def centered(value: Tensor, grid: QuantParams | None) -> Tensor:
    """Return raw integers as the twin computes with them: minus the zero point, in float32."""
    return value if grid is None else value.float().sub_(grid.zero)
