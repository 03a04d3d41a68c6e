"""How far the statistics of a batch are from those that batch norms state (the BNS loss).

Source: Cai et al. 2020 (ZeroQ, arXiv:2001.00281), equation 3, and Xu et al. 2020 (GDFQ,
arXiv:2003.03603), equation 6:

    (1 / L) sum over layers of  mean over channels of (m - mu)^2 + (s - sigma)^2

with m and s of the batch over all places, biased. How we differ: batch norms are folded, so what is
held against them is the value behind the norm, before its activation, which has the mean beta and a
deviation near |gamma|. With d = m - beta, "stated" counts d / sigma' (sigma' what the norm states
behind it), the same for every layer whatever its scale; "raw" counts d / gain, which is m - mu in
front of the norm, as published. Channels of which the norm states no deviation are left out: there
is nothing to divide by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from intaglio.numerics.batch_norm import BatchNorm
from intaglio.numerics.normal import Normal

Units = Literal["stated", "raw"]
Moment = Literal["std", "var"]
DEAD = 1e-6
"""Of the largest deviation in its layer: below it a channel is constant."""
TINY = 1e-12
"""Keeps the square root's gradient finite where a batch is constant."""


class NormLoss:
    """The loss of a network's batch norms; calling it with values gives it.

    Attributes:
        layers: Whose values it reads, in order.
    """

    def __init__(
        self,
        statistics: Mapping[str, Normal],
        norms: Mapping[str, BatchNorm],
        *,
        units: Units = "stated",
        moment: Moment = "var",
        device: str = "cpu",
    ) -> None:
        """Put the statistics of all layers behind each other.

        Args:
            statistics: Of layers' values before their activation.
            norms: Their batch norms; for "raw", layers without one count by "stated".
            units: In which differences are counted.
            moment: Whether deviations are compared (ZeroQ) or variances (GDFQ).
        """
        alive = {name: _alive(normal) for name, normal in statistics.items()}
        self.layers = [name for name in statistics if bool(alive[name].any())]
        self._moment = moment
        count = max(1, len(self.layers))
        parts = []
        for name in self.layers:
            normal, is_alive = statistics[name], alive[name]
            unit = _unit(normal, norms.get(name), units).where(is_alive, 1.0)
            share = is_alive / (count * is_alive.sum())
            parts.append((normal.mean, normal.std, unit, share))
        whole = [torch.cat(part).float().to(device) for part in zip(*parts, strict=True)]
        self._mean, self._std, self._unit, self._share = whole or [torch.empty(0)] * 4

    def __call__(self, before: Mapping[str, Tensor]) -> Tensor:
        """Return the loss, [], of the values [N, C, ...] of all layers before their activation."""
        means, variances = zip(*(moments(before[name]) for name in self.layers), strict=True)
        of_means = (torch.cat(means) - self._mean) / self._unit
        variance, stated = torch.cat(variances) / self._unit.square(), self._std / self._unit
        if self._moment == "var":
            of_spread = variance - stated.square()
        else:
            of_spread = (variance + TINY).sqrt() - stated
        return (self._share * (of_means.square() + of_spread.square())).sum()


def moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance of each channel, [C] each, of values [N, C, ...]."""
    found: tuple[Tensor, Tensor] = _Moments.apply(values)  # type: ignore[no-untyped-call]
    return found


class _Moments(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return both by the kernel of batch norm: six times as fast as `var_mean`."""
        _, mean, inverse = torch.native_batch_norm(values, None, None, None, None, True, 0.0, 0.0)
        # of a constant the kernel says 0, not infinity
        variance = torch.where(inverse > 0.0, inverse.square().reciprocal(), 0.0)
        ctx.save_for_backward(values, mean)
        return mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Return (g_mean + 2 (x - mean) g_variance) / n."""
        values, mean = ctx.saved_tensors
        of_mean, of_variance = gradients
        shape = [1, -1, *[1] * (values.ndim - 2)]
        count = values.numel() // max(1, values.shape[1])
        gain = (2.0 / count) * of_variance
        offset = of_mean / count - gain * mean
        return torch.addcmul(offset.reshape(shape), values, gain.reshape(shape))


def _alive(normal: Normal) -> Tensor:
    return normal.std > DEAD * float(normal.std.max())


def _unit(normal: Normal, norm: BatchNorm | None, units: Units) -> Tensor:
    """Return what a layer's differences are counted in, [C] float64, > 0 where it is alive."""
    if units == "raw" and norm is not None:
        return norm.gain.abs()
    return normal.std
