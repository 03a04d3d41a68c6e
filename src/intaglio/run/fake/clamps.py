"""Grids that do the work of clamps: they must not learn to reach beyond them.

A runtime may have no word for a clamp, and saturate at the ends of the value's grid instead. A grid
that ends with its clamp when training starts so stays within half a step of it. Nothing of such a
value is beyond; others that share the grid were not beyond either when training started.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from intaglio.ir.graph import Graph
from intaglio.numerics.spec import QuantParams

AN_END = 0.501
"""By how many steps a grid that ends with a clamp may be off it: half of one, and roundings."""


def clamps_of(graph: Graph, group: Iterable[str], start: QuantParams) -> tuple[float, float]:
    """Return the tightest clamp of values that share a grid, among those that end with it."""
    bounds = [graph[name].attrs.get("activation") or (-math.inf, math.inf) for name in group]
    return (
        max((low for low, _ in bounds if _below(start, low) <= AN_END), default=-math.inf),
        min((high for _, high in bounds if _above(start, high) <= AN_END), default=math.inf),
    )


def within_clamp(
    wished: QuantParams, clamp: tuple[float, float], start: QuantParams
) -> QuantParams:
    """Return a grid with its scale lowered until it ends with the clamp.

    Where the clamp ends at zero, so does the grid.

    Args:
        start: The grid that training started from; it is never narrowed.
    """
    spec, zero = wished.spec, wished.zero
    if clamp[0] == 0.0:
        zero = spec.qmin
    elif clamp[1] == 0.0:
        zero = spec.qmax
    largest = wished.scale.double()
    for bound, steps in ((clamp[0], spec.qmin - zero + 0.5), (clamp[1], spec.qmax - zero - 0.5)):
        # an end at the zero point stays there, whatever the scale
        if math.isfinite(bound) and bound * steps > 0.0:
            largest = largest.clamp(max=bound / steps)
    if zero == start.zero:
        largest = largest.clamp(min=start.scale.cpu().double())
    scale: Tensor = largest.float().minimum(wished.scale)
    return QuantParams(scale, torch.full_like(wished.zero_point, zero), spec)


def _below(grid: QuantParams, low: float) -> float:
    """Return by how many steps a grid reaches below a bound."""
    return low / float(grid.step) - (grid.spec.qmin - grid.zero)


def _above(grid: QuantParams, high: float) -> float:
    """Return by how many steps a grid reaches above a bound."""
    return (grid.spec.qmax - grid.zero) - high / float(grid.step)
