"""Weights that are rounded while they train, as those see them who watch or hold them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from intaglio.run.fake.layer import Layer


@dataclass(frozen=True, eq=False)
class OnGrid:
    """A weight that is rounded while it trains.

    Attributes:
        latent: The real numbers that learn, [C_out, ...].
        steps: Returns latent / scale in the space in which it is rounded, same shape, detached and
            a tensor of its own: its integers, minus zero point, are these, rounded half to even and
            clamped to `ends`.
        ends: Least and greatest integer minus zero point, shaped to broadcast with the weight.
        latent_at: Returns the latents of which `steps` would be these steps, with the scales of
            now, same shape, detached: linear in them, and finite even where a folded gain is 0.
            Takes any type.
    """

    latent: nn.Parameter
    steps: Callable[[], Tensor]
    ends: tuple[Tensor, Tensor]
    latent_at: Callable[[Tensor], Tensor]


def on_grid(layer: Layer, latent: nn.Parameter, scale: Callable[[], Tensor]) -> OnGrid:
    """Return the weight of a layer on its grid.

    Args:
        latent: Its parameter.
        scale: Returns the scales that count, [C] or [].
    """

    @torch.no_grad()
    def steps() -> Tensor:
        """Return the folded weight over its scale."""
        return layer.folded()[0] / layer.spread_scale(scale())

    @torch.no_grad()
    def latent_at(wanted: Tensor) -> Tensor:
        """Return what makes these steps."""
        return layer.before_folding(wanted * layer.spread_scale(scale()))

    return OnGrid(latent, steps, layer.ends(), latent_at)
