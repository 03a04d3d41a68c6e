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
layer reads), and what can be computed again is computed again, in a buffer that all layers of a
step share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(eq=False)
class Scratch:
    """Buffers that layers use one after the other, as large as the largest value so far.

    A step has its own: the way back begins with small values, while most of what layers keep is
    still there, and the buffers grow as that goes.

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
        follow: Whether both ends are multiples of s that move with it. They need no gradients then:
            these are part of the step's, dy/ds = y / s outside, and cost less.
    """

    step: Tensor
    low: Tensor
    high: Tensor
    follow: bool = False

    def within(self, activation: tuple[float, float] | None) -> Edges:
        """Return the edges with those of a fused clamp where they are nearer."""
        if activation is None:
            return self
        low, high = activation
        ends = self
        nearer = (low >= float(self.low.detach()), high <= float(self.high.detach()))
        if self.follow and ((nearer[0] and low != 0.0) or (nearer[1] and high != 0.0)):
            size = self.step.detach()
            ends = Edges(self.step, self.low / size * self.step, self.high / size * self.step)
        return Edges(
            ends.step,
            ends.low.new_tensor(low) if nearer[0] else ends.low,
            ends.high.new_tensor(high) if nearer[1] else ends.high,
            ends.follow,
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
        dense(values.float()), edges.step, edges.low, edges.high, edges.follow, scratch, exact
    )
    return found


class _FakeQuantize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: Tensor, step: Tensor, low: Tensor, high: Tensor, *rest: Any
    ) -> Tensor:
        """Return y; keep x and y."""
        ctx.follow, ctx.scratch, exact = rest
        if exact is None:
            made = values.clamp(float(low), float(high))
            made.div_(float(step)).round_().mul_(float(step))
        else:
            made = exact
        ctx.save_for_backward(values, step, low, high, made)
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, s, low and high."""
        values, step, low, high, made = ctx.saved_tensors
        edges = Edges(step, low, high, ctx.follow)
        parts = passed_back(gradient, Way(values, made, edges, ctx.scratch), ctx)
        return (*parts, None, None, None)


@dataclass(frozen=True, eq=False)
class Way:
    """What a gradient meets on its way back.

    Attributes:
        values: x in `unit`s; where it is the scratch's first buffer it is overwritten.
        made: y.
        edges: Of the grid.
        scratch: Buffers.
        unit: What x is counted in, > 0.
    """

    values: Tensor
    made: Tensor
    edges: Edges
    scratch: Scratch
    unit: float = 1.0


Parts = tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]


def passed_back(gradient: Tensor, way: Way, ctx: Any) -> Parts:
    """Return the gradients of x (same shape), and of s, low and high, [] each where asked for.

    Args:
        gradient: Of y.
        way: What was kept or made again.
        ctx: Says by `needs_input_grad[1:4]` which of the three are asked for.
    """
    values, edges = way.values, way.edges
    gradient = _laid_out_like(gradient, values)
    low, high = float(edges.low) / way.unit, float(edges.high) / way.unit
    of_values = torch.ops.aten.hardtanh_backward(gradient, values, low, high)
    wants_step = ctx.needs_input_grad[1]
    if not edges.follow:
        of_low, of_high = _of_ends(gradient, of_values, way, ctx.needs_input_grad[2:4])
        if not wants_step:
            return of_values, None, of_low, of_high
        away = torch.sub(way.made, values, alpha=way.unit, out=way.scratch.values_like(values))
        of_step = torch.dot(_flat(of_values), _flat(away)) / edges.step
        return of_values, of_step, of_low, of_high
    if not wants_step:
        return of_values, None, None, None
    moves = way.scratch.values_like(values)  # first x where it is inside, then y - x, or y outside
    torch.ops.aten.hardtanh_backward.grad_input(values, values, low, high, grad_input=moves)
    torch.sub(way.made, moves, alpha=way.unit, out=moves)
    return of_values, torch.dot(_flat(gradient), _flat(moves)) / edges.step, None, None


def _of_ends(
    gradient: Tensor, of_values: Tensor, way: Way, wants: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients of low and high where they are asked for."""
    if not any(wants):
        return None, None
    step = float(way.edges.step)
    # y is on the grid even where a clamp's end is not
    low, high = (round(float(end) / step) * step for end in (way.edges.low, way.edges.high))
    outside = torch.sub(gradient, of_values, out=way.scratch.other_like(gradient))
    total = outside.sum() if wants[0] or low != 0.0 else gradient.new_zeros(())
    # outside, y is one of the ends: sum g y = high sum g above + low sum g below
    above = (torch.dot(_flat(outside), _flat(way.made)) - low * total) / (high - low or 1.0)
    return total - above if wants[0] else None, above if wants[1] else None


def dense(values: Tensor) -> Tensor:
    """Return values whose numbers lie in memory without gaps."""
    return values if is_dense(values) else values.contiguous()


def is_dense(values: Tensor) -> bool:
    """Return whether the numbers lie in memory without gaps, in an order that layers know."""
    is_channels_last = values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last)
    return is_channels_last or values.is_contiguous()


def _laid_out_like(gradient: Tensor, values: Tensor) -> Tensor:
    """Return a gradient in the layout of the values: sums over both run through memory once."""
    if gradient.stride() == values.stride():
        return gradient
    return torch.empty_like(values).copy_(gradient)


def _flat(values: Tensor) -> Tensor:
    """Return the numbers of a dense tensor as they lie in memory, [n]."""
    return values.as_strided((values.numel(),), (1,))
