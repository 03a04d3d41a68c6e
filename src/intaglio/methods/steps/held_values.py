"""How the walks hold what tuning images give: float32, and the twin's integers in few bytes.

What is held of a value is the raw integer. The least type that holds the whole grid is taken, so
that none wraps: one byte up to 8 bits, two up to 16 (four for an unsigned grid of 16 bits).
"""

from __future__ import annotations

import torch
from torch import Tensor

from intaglio.numerics.spec import QuantParams

FLOAT_BYTES = 4
TYPES = (torch.int8, torch.uint8, torch.int16, torch.int32)
"""Of raw integers, the narrowest first."""


def storage(grid: QuantParams | None) -> torch.dtype:
    """Return the type that holds a value of the twin; a value without a grid is float."""
    if grid is None:
        return torch.float32
    low, high = grid.spec.qmin, grid.spec.qmax
    ends = ((dtype, torch.iinfo(dtype)) for dtype in TYPES)
    return next(dtype for dtype, end in ends if end.min <= low and high <= end.max)


def held_bytes(grid: QuantParams | None) -> int:
    """Return what one number takes: of the float network and of the twin together."""
    return FLOAT_BYTES + storage(grid).itemsize


def stored(value: Tensor, grid: QuantParams | None) -> Tensor:
    """Return a value of the twin as raw integers; a float value as it is."""
    return value if grid is None else (value + grid.zero).to(storage(grid))


def centered(value: Tensor, grid: QuantParams | None) -> Tensor:
    """Return raw integers as the twin computes with them: minus the zero point, in float32."""
    return value if grid is None else value.float().sub_(grid.zero)
