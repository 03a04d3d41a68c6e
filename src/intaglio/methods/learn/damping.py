"""The distance of weights to the integers that they are rounded to."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from intaglio.run.fake.on_grid import OnGrid


def distance(grid: OnGrid) -> Tensor:
    """Return the sum of squared distances of a weight's latents to where their integers lie, [].

        sum (w(n) - clip(w))^2        d/dw = 2 (clip(w) - w(n))

    Source: Nagel et al. 2022, arXiv:2203.11086, section 4.2; w(n), the latent in the middle of an
    integer's interval, is not differentiated. Weights outside of their grid are at no distance.
    """
    with torch.no_grad():
        steps = grid.steps().clamp_(*grid.ends)
        gaps = grid.latent_at(steps.sub_(steps.round()))
    summed: Tensor = _SquaredGaps.apply(grid.latent, gaps)  # type: ignore[no-untyped-call]
    return summed


class _SquaredGaps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, latent: Tensor, gaps: Tensor) -> Tensor:
        """Return the sum of squared gaps, []; only they are kept for the gradient."""
        ctx.save_for_backward(gaps)
        return gaps.square().sum()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient of the latent, shaped like it: it moves as its gap does."""
        (gaps,) = ctx.saved_tensors
        return gaps * (2.0 * gradient), None
