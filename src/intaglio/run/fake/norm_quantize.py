"""Batch norm with the statistics of the batch, its clamp and its grid, as one function.

What is kept for the way back is what batch norm alone keeps, its input, and the result, which the
next layer keeps anyway; the normalized values between the two are computed again. A network in
training so takes the memory that it takes in float.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from intaglio.run.fake.fake_quantize import Edges, Scratch, Way, dense, passed_back
from intaglio.run.norm_over_processes import Running


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
        dense(values.float()), edges.step, edges.low, edges.high, gamma, beta,
        edges.follow, running, scratch,
    )  # fmt: skip
    return found


class _NormQuantize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: Tensor, step: Tensor, low: Tensor, high: Tensor, *rest: Any
    ) -> Tensor:
        """Return y; keep x, y and the batch's statistics. The norm itself divides by the step."""
        gamma, beta, ctx.follow, running, ctx.scratch = rest
        size = float(step)
        made, mean, inverse = torch.native_batch_norm(
            values, gamma / size, beta / size, running.mean, running.var, True,
            running.momentum, running.eps,
        )  # fmt: skip
        made.clamp_(float(low) / size, float(high) / size).round_().mul_(size)
        ctx.save_for_backward(values, step, low, high, gamma, beta, mean, inverse, made)
        ctx.eps = running.eps
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, s, low, high, gamma and beta."""
        values, step, low, high, gamma, beta, mean, inverse, made = ctx.saved_tensors
        variance, size = inverse.square().reciprocal_().sub_(ctx.eps), float(step)
        steps, unused = ctx.scratch.values_like(values), torch.empty(0)
        torch.ops.aten.native_batch_norm.out(
            values, gamma / size, beta / size, mean, variance, False, 0.0, ctx.eps,
            out=steps, save_mean=unused, save_invstd=unused.clone(),
        )  # fmt: skip
        edges = Edges(step, low, high, ctx.follow)
        way = Way(steps, made, edges, ctx.scratch, unit=size)
        of_normalized, *of_edges = passed_back(gradient, way, ctx)
        of_values, of_gamma, of_beta = torch.ops.aten.native_batch_norm_backward(
            of_normalized, values, gamma, None, None, mean, inverse, True, ctx.eps, [True] * 3
        )
        return of_values, *of_edges, of_gamma, of_beta, None, None, None
