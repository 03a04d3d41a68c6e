"""Rounding with a gradient: straight through, and towards a better step.

Rounding's own gradient is zero almost everywhere. The straight-through estimator takes it as one
(Bengio et al. 2013, arXiv:1308.3432). With v = x / s, clipped to [low, high]:

    y = s round(clip(v))      dy/dx = 1 inside, 0 outside
                              dy/ds = round(v) - v inside, low or high outside

The gradient of s is that of LSQ (Esser et al. 2020, arXiv:1902.08153, equation 3), without its
factor for plain gradient descent (section 2.2): Adam's updates would not see it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def snap(values: Tensor, step: Tensor, low: float, high: float) -> Tensor:
    """Return s round(clip(x / s, low, high)), same shape as `values`.

    Args:
        values: x, any shape, float32.
        step: s, [], > 0; it gets a gradient if it asks for one.
        low, high: Bounds in steps: integers minus zero point.
    """
    snapped: Tensor = _Snap.apply(values, step, low, high)  # type: ignore[no-untyped-call]
    return snapped


class _Snap(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, step: Tensor, low: float, high: float) -> Tensor:
        """Return s round(clip(x / s)), and save what the gradients need: for x alone, a mask."""
        steps = values / step
        clipped = steps.clamp(low, high)
        inside = clipped == steps
        if not ctx.needs_input_grad[1]:
            ctx.save_for_backward(inside)
            return clipped.round_().mul_(step)
        rounded = clipped.round_()
        ctx.save_for_backward(inside, steps, rounded)
        return rounded * step

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Return the gradients of x, shaped like it, and of s, []; None where none is asked for."""
        inside = ctx.saved_tensors[0]
        of_step = None
        if ctx.needs_input_grad[1]:
            steps, rounded = ctx.saved_tensors[1:]
            of_step = (gradient * torch.where(inside, rounded - steps, rounded)).sum()
        of_values = gradient * inside if ctx.needs_input_grad[0] else None
        return of_values, of_step, None, None
