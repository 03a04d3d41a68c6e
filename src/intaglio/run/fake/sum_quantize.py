"""A sum, its clamp and its grid, as one function.

The sum itself is in no one's hands afterwards: the layers around it keep what was added, and the
next one keeps the result. So it is added once more on the way back instead of kept, and a network
of residual blocks takes the less memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from intaglio.run.fake.fake_quantize import Edges, Scratch, Way, is_dense, passed_back


def can_be_one(a: Tensor, b: Tensor) -> bool:
    """Return whether two values add up number by number as they lie in memory."""
    is_like = a.shape == b.shape and a.stride() == b.stride() and a.dtype == b.dtype
    return is_like and a.dtype == torch.float32 and is_dense(a)


def sum_quantize(
    added: tuple[Tensor, Tensor], edges: Edges, scratch: Scratch, exact: Tensor | None = None
) -> Tensor:
    """Return a + b on its grid, same shape, float32; edges get gradients if they ask for them.

    Equal to a sum and `fake_quantize` behind it, with its gradients.

    Args:
        added: a and b, for which `can_be_one` holds.
        exact: What an integer kernel makes of the same values, as of `fake_quantize`.
    """
    a, b = added
    found: Tensor = _SumQuantize.apply(  # type: ignore[no-untyped-call]
        a, edges.step, edges.low, edges.high, b, edges.follow, scratch, exact
    )
    return found


class _SumQuantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, step: Tensor, low: Tensor, high: Tensor, *rest: Any) -> Tensor:
        """Return y; keep a, b and y. What passes back is told of a by the order of arguments."""
        b, ctx.follow, ctx.scratch, exact = rest
        if exact is None:
            made = torch.add(a, b).clamp_(float(low), float(high))
            made.div_(float(step)).round_().mul_(float(step))
        else:
            made = exact
        ctx.save_for_backward(a, b, step, low, high, made)
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of a, s, low, high and b."""
        a, b, step, low, high, made = ctx.saved_tensors
        total = torch.add(a, b, out=ctx.scratch.values_like(a))
        way = Way(total, made, Edges(step, low, high, ctx.follow), ctx.scratch)
        of_sum, *of_edges = passed_back(gradient, way, ctx)
        return of_sum, *of_edges, of_sum, None, None, None
