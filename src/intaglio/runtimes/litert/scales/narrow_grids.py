"""Grids no wider than what is read of them."""

from __future__ import annotations

from collections.abc import Mapping

from intaglio.ir.graph import Graph
from intaglio.numerics.affine import params_from_range
from intaglio.numerics.plan import Plan
from intaglio.numerics.spec import QuantParams
from intaglio.ops.function import read_bounds
from intaglio.targets.runtime import Ranges


def narrow_grids(
    graph: Graph, plan: Plan, grids: Mapping[str, QuantParams], ranges: Ranges
) -> dict[str, QuantParams]:
    """Return grids in which values that are clamped by whoever reads them end at the clamp.

    That is a value of which all readers are functions that begin with a clamp: beyond their bounds
    its integers say nothing, and within them they can be finer.
    """
    found = dict(grids)
    for group in plan.groups:
        name = group[0]
        known = name not in plan.fixed and name not in plan.derived and name in ranges
        if len(group) > 1 or not known:
            continue
        (low, high), read = ranges[name], read_bounds(graph, name)
        if read[0] > float(low) or read[1] < float(high):
            spec = plan.activations[name]
            found[name] = params_from_range(low.clamp(*read), high.clamp(*read), spec)
    return found
