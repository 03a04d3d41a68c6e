"""A value in the place of another one that alone gets the gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def swapped(value: Tensor, by: Tensor, *, factor: float = 1.0) -> Tensor:
    """Return `by`, whose gradient, times a factor, goes to `value`, of the same shape."""
    found: Tensor = _Swapped.apply(value, by, factor)  # type: ignore[no-untyped-call]
    return found


class _Swapped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, by: Tensor, factor: float) -> Tensor:
        """Return the number that counts."""
        ctx.factor = factor
        return by.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient for the number that learns."""
        return gradient if ctx.factor == 1.0 else gradient * ctx.factor, None, None
