"""Fake quantization of values with a gradient, in few passes over memory.

    y = s round(clamp(x, low, high) / s)
    dy/dx    = 1 inside (low, high), 0 outside                      the straight-through estimator
    dy/ds    = round(x / s) - x / s inside, 0 outside
    dy/dlow  = 1 below low,   dy/dhigh = 1 above high               0 elsewhere

How s, low and high hang together is the business of whoever makes them: with low = s qmin and
high = s qmax these are the gradients of LSQ (Esser et al. 2020, arXiv:1902.08153, equation 3), with
high = a those of PACT (Choi et al. 2018, arXiv:1805.06085, equation 3), and nobody writes them
twice.

A network's time here goes into passes over memory, not into sums. So results are made in place,
nothing is kept for the way back but what a layer keeps anyway (its input, and y, which the next
layer reads), and what can be computed again is computed again, in a buffer that all layers share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(eq=False)
class Scratch:
    """Buffers that layers use one after the other, as large as the largest value so far.

    Attributes:
        values: [n] float32, for what is computed again.
        other: [n] float32, for what is summed up.
    """

    values: Tensor = field(default_factory=lambda: torch.empty(0))
    other: Tensor = field(default_factory=lambda: torch.empty(0))

    def values_like(self, value: Tensor) -> Tensor:
        """Return the first buffer in the shape and layout of a value; what it held is lost."""
        self.values = _large_enough(self.values, value)
        return self.values.as_strided(value.shape, value.stride())

    def other_like(self, value: Tensor) -> Tensor:
        """Return the second buffer in the shape and layout of a value; what it held is lost."""
        self.other = _large_enough(self.other, value)
        return self.other.as_strided(value.shape, value.stride())


def _large_enough(buffer: Tensor, value: Tensor) -> Tensor:
    is_right = buffer.numel() >= value.numel() and buffer.device == value.device
    return buffer if is_right else torch.empty(value.numel(), device=value.device)


@dataclass(frozen=True, eq=False)
class Edges:
    """Where a grid's values lie: step and ends, real numbers, [] float32 each.

    Attributes:
        step: s, > 0.
        low: A multiple of s, or the end of a clamp within the grid.
        high: The same.
    """

    step: Tensor
    low: Tensor
    high: Tensor

    def within(self, activation: tuple[float, float] | None) -> Edges:
        """Return the edges with those of a fused clamp where they are nearer."""
        if activation is None:
            return self
        low, high = activation
        return Edges(
            self.step,
            self.low if low <= float(self.low.detach()) else self.low.new_tensor(low),
            self.high if high >= float(self.high.detach()) else self.high.new_tensor(high),
        )


def fake_quantize(
    values: Tensor, edges: Edges, scratch: Scratch, exact: Tensor | None = None
) -> Tensor:
    """Return values on their grid, same shape, float32; edges get gradients if they ask for them.

    Args:
        exact: What an integer kernel makes of the same values: returned in place of y, with y's
            gradients.
    """
    found: Tensor = _FakeQuantize.apply(  # type: ignore[no-untyped-call]
        dense(values.float()), edges.step, edges.low, edges.high, scratch, exact
    )
    return found


class _FakeQuantize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        step: Tensor,
        low: Tensor,
        high: Tensor,
        scratch: Scratch,
        exact: Tensor | None,
    ) -> Tensor:
        """Return y; keep x and y."""
        made = _on_grid(values, step, low, high) if exact is None else exact
        ctx.save_for_backward(values, step, low, high, made)
        ctx.scratch = scratch
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, s, low and high."""
        values, step, low, high, made = ctx.saved_tensors
        parts = passed_back(gradient, values, made, Edges(step, low, high), ctx.scratch, ctx)
        return (*parts, None, None)


def _on_grid(values: Tensor, step: Tensor, low: Tensor, high: Tensor) -> Tensor:
    size = float(step)
    made = values.clamp(float(low), float(high))
    return made.div_(size).round_().mul_(size)


def on_grid_(values: Tensor, edges: Edges) -> Tensor:
    """Move values to their grid in place; return them."""
    size = float(edges.step)
    return values.clamp_(float(edges.low), float(edges.high)).div_(size).round_().mul_(size)


def passed_back(
    gradient: Tensor, values: Tensor, made: Tensor, edges: Edges, scratch: Scratch, ctx: Any
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """Return the gradients of x (same shape), and of s, low and high, [] each where asked for.

    Args:
        gradient: Of y.
        values: x; where it is the scratch's first buffer it is overwritten.
        made: y.
        ctx: Says by `needs_input_grad[1:4]` which of the three are asked for.
    """
    low, high = float(edges.low), float(edges.high)
    gradient = _laid_out_like(gradient, values)
    of_values = torch.ops.aten.hardtanh_backward(gradient, values, low, high)
    wants_step, wants_low, wants_high = ctx.needs_input_grad[1:4]
    of_step = of_low = of_high = None
    if wants_high or wants_low:
        outside = torch.sub(gradient, of_values, out=scratch.other_like(values))
        total = outside.sum() if wants_low or low != 0.0 else gradient.new_zeros(())
        # outside, y is one of the ends: sum g y = high sum g above + low sum g below
        above = (torch.dot(_flat(outside), _flat(made)) - low * total) / (high - low)
        of_high = above if wants_high else None
        of_low = total - above if wants_low else None
    if wants_step:
        away = torch.sub(made, values, out=scratch.values_like(values))
        of_step = torch.dot(_flat(of_values), _flat(away)) / edges.step
    return of_values, of_step, of_low, of_high


def dense(values: Tensor) -> Tensor:
    """Return values whose numbers lie in memory without gaps."""
    is_channels_last = values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last)
    return values if is_channels_last else values.contiguous()


def _laid_out_like(gradient: Tensor, values: Tensor) -> Tensor:
    """Return a gradient in the layout of the values: sums over both run through memory once."""
    if gradient.stride() == values.stride():
        return gradient
    return torch.empty_like(values).copy_(gradient)


def _flat(values: Tensor) -> Tensor:
    """Return the numbers of a dense tensor as they lie in memory, [n]."""
    return values.as_strided((values.numel(),), (1,))
