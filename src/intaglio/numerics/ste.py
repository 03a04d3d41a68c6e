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

Bound = float | Tensor


def snap(values: Tensor, step: Tensor, low: Bound, high: Bound) -> Tensor:
    """Return s round(clip(x / s, low, high)), same shape as `values`.

    Args:
        values: x, any shape, float32.
        step: s > 0, [] or any shape that broadcasts to x (one for each channel); it gets a gradient
            if it asks for one.
        low, high: Bounds in steps: integers minus zero point; numbers, or tensors that broadcast.
    """
    snapped: Tensor = _Snap.apply(values, step, low, high)  # type: ignore[no-untyped-call]
    return snapped


class _Snap(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, step: Tensor, low: Bound, high: Bound) -> Tensor:
        """Return s round(clip(x / s)), and keep x and s: all else can be computed again."""
        ctx.save_for_backward(values, step)
        ctx.low, ctx.high = low, high
        steps = (values / step).clamp_(low, high)  # type: ignore[arg-type]  # both are of one kind
        return steps.round_().mul_(step)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Return the gradients of x and s, shaped like them; None where none is asked for."""
        values, step = ctx.saved_tensors
        steps = values / step
        clipped = steps.clamp(ctx.low, ctx.high)
        inside = clipped == steps
        of_step = None
        if ctx.needs_input_grad[1]:
            rounded = clipped.round_()
            rounded.sub_(steps.mul_(inside)).mul_(gradient)
            of_step = rounded.sum_to_size(step.shape)
        of_values = gradient * inside if ctx.needs_input_grad[0] else None
        return of_values, of_step, None, None
