"""Grids of a weight's rows, one each: what a row's integers may be, and its step.

Integers are centered, the zero point taken off: a row of a symmetric grid of 4 bits has -8 to 7
whatever its weights are, one of an asymmetric grid as many on the side where its weights are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from intaglio.numerics.affine import centered_ends
from intaglio.numerics.spec import QuantParams, QuantSpec

SHRINKS = torch.linspace(0.35, 1.0, 40)
SHIFTS = (0, -1, 1)
"""Of an asymmetric row's ends, in integers: what is tried beside those of its extremes."""


@dataclass(frozen=True, eq=False)
class RowGrids:
    """Grids of rows [G, R, K].

    Attributes:
        scales: Real units a step, [G, R].
        low, high: Least and greatest integer minus zero point, [G, R].
    """

    scales: Tensor
    low: Tensor
    high: Tensor

    def nearest(self, rows: Tensor) -> Tensor:
        """Return the nearest integers, centered, [G, R, K]."""
        integers = (rows / self.scales.unsqueeze(2)).round_()
        return integers.clamp_(self.low.unsqueeze(2), self.high.unsqueeze(2))

    def of(self, chosen: Tensor) -> RowGrids:
        """Return those of some rows of each group."""
        return RowGrids(self.scales[:, chosen], self.low[:, chosen], self.high[:, chosen])

    def repeated(self, count: int) -> RowGrids:
        """Return them as many times as groups one after the other."""
        return RowGrids(*(one.repeat(count, 1) for one in (self.scales, self.low, self.high)))


def row_grids(params: QuantParams, groups: int, rows: int) -> RowGrids:
    """Return the grids of a weight of `groups` groups of `rows` rows."""
    ends = centered_ends(params.zero_point, params.spec)
    scales, low, high = (
        one.expand(groups * rows).reshape(groups, rows) for one in (params.scale, *ends)
    )
    return RowGrids(scales, low, high)


def params_of(grids: RowGrids, spec: QuantSpec) -> QuantParams:
    """Return the grid of the weight with these rows, one scale for each."""
    zero_point = (spec.qmin - grids.low).round().to(torch.int32).reshape(-1)
    return QuantParams(grids.scales.float().reshape(-1), zero_point, spec)


def best_grids(target: Tensor, hessian: Tensor, start: RowGrids, spec: QuantSpec) -> RowGrids:
    """Return grids that make nearest rounding's error, weighed by H's diagonal, smallest.

    Candidates shrink the scale that covers a row; of asymmetric rows the ends are moved too.

    Args:
        target: [G, R, K].
        hessian: [G, K, K].
        start: Grids of rows that are empty, which any scale holds.
    """
    weights = hessian.diagonal(dim1=1, dim2=2).unsqueeze(1)  # [G, 1, K]
    whole = _covering(target, start, spec)
    best, least = whole, torch.full_like(whole.scales, float("inf"))
    for shift in (0,) if spec.symmetric else SHIFTS:
        moved = _moved(whole, shift, spec)
        for shrink in SHRINKS:
            tried = replace(moved, scales=whole.scales * float(shrink))
            apart = tried.nearest(target) * tried.scales.unsqueeze(2) - target
            error = (apart.square_() * weights).sum(2)
            best = _chosen(error < least, tried, best)
            least = torch.minimum(error, least)
    return best


def refitted(integers: Tensor, target: Tensor, hessian: Tensor, grids: RowGrids) -> RowGrids:
    """Return grids with scales s = q'Ht / q'Hq; the old scale where that is not positive."""
    image = integers @ hessian
    above, below = (image * target).sum(2), (image * integers).sum(2)
    found = torch.where((below > 0) & (above > 0), above / below, grids.scales)
    return replace(grids, scales=found)


def _covering(target: Tensor, start: RowGrids, spec: QuantSpec) -> RowGrids:
    """Return the grids that hold all of the rows, of as small a step as that takes."""
    if spec.symmetric:
        scales, low, high = target.abs().amax(2) / spec.qmax, start.low, start.high
    else:
        least, most = target.amin(2).clamp(max=0.0), target.amax(2).clamp(min=0.0)
        scales = (most - least) / (spec.qmax - spec.qmin)
        low = (least / scales.where(scales > 0, 1.0)).round()
        high = low + (spec.qmax - spec.qmin)
    is_empty = scales <= 0
    whole = RowGrids(scales, low.to(start.low.dtype), high.to(start.high.dtype))
    return _chosen(is_empty, start, whole)


def _moved(grids: RowGrids, shift: int, spec: QuantSpec) -> RowGrids:
    """Return grids whose ends are moved, zero still among their integers."""
    low = (grids.low + shift).clamp(spec.qmin - spec.qmax, 0)
    return replace(grids, low=low, high=low + (spec.qmax - spec.qmin))


def _chosen(which: Tensor, first: RowGrids, second: RowGrids) -> RowGrids:
    """Return the first of both where `which`, [G, R], says so, the second elsewhere."""
    pairs = ((first.scales, second.scales), (first.low, second.low), (first.high, second.high))
    return RowGrids(*(torch.where(which, one, other) for one, other in pairs))
