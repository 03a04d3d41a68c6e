"""Grids of second factors whose zero point is 0: the delegate multiplies by no others."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from intaglio.ir.graph import Graph
from intaglio.numerics.plan import Plan
from intaglio.numerics.spec import QuantParams
from intaglio.targets.site import centered_range


def center_factors(
    graph: Graph, plan: Plan, grids: Mapping[str, QuantParams]
) -> dict[str, QuantParams]:
    """Return grids in which the second factor of every `matmul` has the zero point 0.

    Its range is widened to be as long below zero as above. What shares the grid of a factor, or has
    it derived from another's, goes with it.
    """
    found = dict(grids)
    group_of = plan.group_of
    for node in graph:
        if node.op != "matmul" or node.name not in plan.activations:
            continue
        name = node.inputs[1]
        while name in plan.derived:
            name = plan.derived[name][0]
        if found[name].zero != 0 and name not in plan.fixed:
            found.update(dict.fromkeys(group_of[name], _centered(found[name])))
    return found


def _centered(grid: QuantParams) -> QuantParams:
    farthest = max(abs(end) for end in centered_range(grid))
    scale = float(grid.step) * farthest / grid.spec.qmax
    zero = torch.zeros_like(grid.zero_point)
    return QuantParams(torch.tensor(scale, dtype=torch.float32), zero, grid.spec)
