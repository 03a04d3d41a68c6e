"""Batch norm with the statistics of a batch of which each process has a part.

Source: Ioffe and Szegedy 2015 (arXiv:1502.03167), algorithm 1 and the gradients under it. Means and
squared deviations of the parts are combined as by Chan, Golub, LeVeque 1979 (STAN-CS-79-773).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

Summed = Callable[[Tensor], Tensor]
"""Returns the sum over all processes of a tensor that each has, float64 kept."""


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


def batch_norm_over(
    x: Tensor, weight: Tensor, bias: Tensor, running: Running, *, summed: Summed
) -> Tensor:
    """Return (x - mean) / sqrt(var + eps) * weight + bias, by the statistics of all parts together.

    All processes call it, and go backward, in the same order. Each gets the gradient of the sum of
    all processes' losses in its x, and its own part of that in weight and bias, which are summed
    with all others. Statistics are in float64, everything else in float32, or float64 where x is.

    The running statistics move as torch's, var unbiased, to the same numbers in all processes. A
    channel with one value in the whole batch, which torch refuses, counts as without variance.

    Args:
        x: This process's part, [N, C] or [N, C, ...]; N may differ, and be 0, though not for all.
        weight, bias: [C].
        running: Changed in place.
        summed: Sums over all processes.
    """
    batch = _statistics(x.detach(), running.eps, summed)
    unbiased = batch.var * (batch.count / (batch.count - 1).clamp_min(1))
    with torch.no_grad():
        for kept, now in ((running.mean, batch.mean), (running.var, unbiased)):
            kept.mul_(1 - running.momentum).add_(now.to(kept.dtype), alpha=running.momentum)
    found: Tensor = _Normalized.apply(x, weight, bias, batch, summed)  # type: ignore[no-untyped-call]
    return found


@dataclass(frozen=True, eq=False)
class _Batch:
    """What a channel's values are like over all parts, float64.

    Attributes:
        mean, var: [C]; var is biased, the mean of squared deviations.
        count: Values a channel, [].
        eps: As it is added to var.
    """

    mean: Tensor
    var: Tensor
    count: Tensor
    eps: float


def _statistics(x: Tensor, eps: float, summed: Summed) -> _Batch:
    """Return the statistics of all parts.

    Chan's formula for the sum of squared deviations from the common mean,

        sum over parts of (own squared deviations + n * own mean**2) - n_all * mean**2,

    has a difference only between parts, in float64: its error is 1e-16 of mean**2, below what
    float32 values resolve.
    """
    own_count = x.numel() // x.shape[1]
    moments = torch.zeros(2 * x.shape[1] + 1, dtype=torch.float64, device=x.device)
    if own_count:
        # what torch's own batch norm begins with; var_mean is five times slower on CPUs
        found = torch.batch_norm_update_stats(_real(x), None, None, 0.0)
        mean, var = (value.double() for value in found)
        each = torch.cat([mean, var + mean.square(), torch.ones_like(moments[:1])])
        moments = own_count * each
    whole = summed(moments)
    mean, mean_square = (whole[:-1] / whole[-1]).view(2, -1)
    return _Batch(mean, (mean_square - mean.square()).clamp_min(0.0), whole[-1], eps)


def _real(x: Tensor) -> Tensor:
    """Return x with float32 at least."""
    return x if x.dtype == torch.float64 else x.float()


class _Normalized(torch.autograd.Function):
    """The normalization by given statistics, and its gradients as those of what they are made of.

    With x_hat = (x - mean) / sqrt(var + eps) and means over all values of all parts:
    dx = weight / sqrt(var + eps) * (dy - mean(dy) - x_hat * mean(dy * x_hat)).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, batch: _Batch, summed: Summed
    ) -> Tensor:
        """Return the normalized x."""
        real = _real(x)
        ctx.save_for_backward(x, weight)
        ctx.batch, ctx.summed = batch, summed
        mean, var = batch.mean.to(real.dtype), batch.var.to(real.dtype)
        weight, bias = weight.to(real.dtype), bias.to(real.dtype)
        return F.batch_norm(real, mean, var, weight, bias, eps=batch.eps).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, weight and bias."""
        x, weight = ctx.saved_tensors
        batch: _Batch = ctx.batch
        shape = [1, -1] + [1] * (x.ndim - 2)
        axes = [axis for axis in range(x.ndim) if axis != 1]
        given = _real(gradient)
        apart = _real(x) - batch.mean.to(given.dtype).view(shape)
        inverse = torch.rsqrt(batch.var + batch.eps)
        own_bias = given.sum(axes).double()
        own_weight = (given * apart).sum(axes).double() * inverse
        total_bias, total_weight = ctx.summed(torch.stack([own_bias, own_weight])) / batch.count

        scale = weight.double() * inverse
        of_gradient, of_apart, constant = (
            value.to(given.dtype).view(shape)
            for value in (scale, -scale * inverse * total_weight, -scale * total_bias)
        )
        of_x = torch.addcmul(constant, given, of_gradient).addcmul_(apart, of_apart)
        own = own_weight.to(weight.dtype), own_bias.to(weight.dtype)
        return of_x.to(x.dtype), *own, None, None
