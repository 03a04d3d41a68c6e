"""Batch norm with the statistics of the batch, its clamp and its grid, as one function.

What is kept for the way back is what batch norm alone keeps, its input, and the result, which the
next layer keeps anyway; the normalized values between the two are computed again. A network in
training so takes the memory that it takes in float.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from intaglio.run.fake.fake_quantize import Edges, Scratch, dense, on_grid_, passed_back


@dataclass(frozen=True, eq=False)
class Running:
    """Statistics of a batch norm that follow those of the batches.

    Attributes:
        mean, var: [C], changed in place.
        momentum: How much of a batch's goes into them.
        eps: Of the norm.
    """

    mean: Tensor
    var: Tensor
    momentum: float
    eps: float


def norm_quantize(
    values: Tensor, gamma: Tensor, beta: Tensor, running: Running, edges: Edges, scratch: Scratch
) -> Tensor:
    """Return the normalized values on their grid, [N, C, ...] float32.

    Equal to batch norm in training and `fake_quantize` behind it, with its gradients.

    Args:
        values: What the layer before makes, [N, C, ...].
        gamma, beta: [C].
    """
    found: Tensor = _NormQuantize.apply(  # type: ignore[no-untyped-call]
        dense(values.float()), edges.step, edges.low, edges.high, gamma, beta, running, scratch
    )
    return found


class _NormQuantize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: Tensor, step: Tensor, low: Tensor, high: Tensor, *rest: Any
    ) -> Tensor:
        """Return y; keep x, y and the batch's statistics."""
        gamma, beta, running, scratch = rest
        normalized, mean, inverse = torch.native_batch_norm(
            values, gamma, beta, running.mean, running.var, True, running.momentum, running.eps
        )
        made = on_grid_(normalized, Edges(step, low, high))
        ctx.save_for_backward(values, step, low, high, gamma, beta, mean, inverse, made)
        ctx.eps, ctx.scratch = running.eps, scratch
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, s, low, high, gamma and beta."""
        values, step, low, high, gamma, beta, mean, inverse, made = ctx.saved_tensors
        variance = inverse.square().reciprocal_().sub_(ctx.eps)
        again, unused = ctx.scratch.values_like(values), torch.empty(0)
        torch.ops.aten.native_batch_norm.out(
            values, gamma, beta, mean, variance, False, 0.0, ctx.eps,
            out=again, save_mean=unused, save_invstd=unused.clone(),
        )  # fmt: skip
        of_normalized, *of_edges = passed_back(
            gradient, again, made, Edges(step, low, high), ctx.scratch, ctx
        )
        of_values, of_gamma, of_beta = torch.ops.aten.native_batch_norm_backward(
            of_normalized, values, gamma, None, None, mean, inverse, True, ctx.eps, [True] * 3
        )
        return of_values, *of_edges, of_gamma, of_beta, None, None
