"""Weights that are rounded while they train, as those see them who watch or hold them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from intaglio.numerics.spec import QuantSpec


@dataclass(frozen=True, eq=False)
class OnGrid:
    """A weight that is rounded while it trains.

    Attributes:
        latent: The real numbers that learn, [C_out, ...].
        steps: Returns latent / scale in the space in which it is rounded, same shape, detached and
            a tensor of its own: its integers are these, rounded half to even and clamped to the
            spec.
        spec: Its grid.
        latent_at: Returns the latents of which `steps` would be these steps, with the scales of
            now, same shape, detached: linear in them, and finite even where a folded gain is 0.
            Takes any type.
    """

    latent: nn.Parameter
    steps: Callable[[], Tensor]
    spec: QuantSpec
    latent_at: Callable[[Tensor], Tensor]
