"""Steps that are made longer where too few integers of a layer would change (gradient inundation).

Source: Choi et al. 2022 (It's All In the Teacher, arXiv:2204.00330): of the multipliers of a
step the smallest is taken with which at least a given share of a layer's integers changes. How we
differ: it multiplies what the optimizer did to a layer's weight, whichever that is, by 2, 4, 8, ...
five times at most; a layer that does not change enough even then keeps the longest of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.run.fake.on_grid import OnGrid

TRIES = 5
FACTOR = 2.0


@dataclass(frozen=True, eq=False)
class Before:
    """Weights before a step, by layer.

    Attributes:
        latents: The real numbers that learn, [C_out, ...] each.
        integers: What they are rounded to, same shapes.
    """

    latents: Mapping[str, Tensor]
    integers: Mapping[str, Tensor]


def before(grids: Mapping[str, OnGrid]) -> Before:
    """Return weights as they are now."""
    latents = {name: grid.latent.detach().clone() for name, grid in grids.items()}
    return Before(latents, {name: integers_of(grid) for name, grid in grids.items()})


@torch.no_grad()
def inundate(grids: Mapping[str, OnGrid], was: Before, share: float) -> int:
    """Make a step longer, layer by layer, until a share of integers has changed.

    Args:
        grids: The weights behind the step; they are changed.
        was: The same before it.
        share: Of each layer's integers, 0..1.

    Returns:
        How many layers' steps were made longer.
    """
    count = 0
    for name, grid in grids.items():
        if _changed(grid, was.integers[name]) >= share:
            continue
        count += 1
        start = was.latents[name]
        step = grid.latent - start
        for _ in range(TRIES):
            step = step * FACTOR
            grid.latent.copy_(start + step)
            if _changed(grid, was.integers[name]) >= share:
                break
    return count


def integers_of(grid: OnGrid) -> Tensor:
    """Return the integers of a weight, as real numbers, in its shape."""
    return grid.steps().round_().clamp_(*grid.ends)


def _changed(grid: OnGrid, was: Tensor) -> float:
    return float((integers_of(grid) != was).float().mean())
