"""Grids of clamps that the file has no word for, where no image says where they end.

The ends of such a value's grid do the clamping. A value that was zero on all images has a scale
that means nothing, and would let through what the clamp stops.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from intaglio.ir.graph import Graph
from intaglio.numerics.affine import params_from_range
from intaglio.numerics.plan import Plan
from intaglio.numerics.spec import QuantParams
from intaglio.runtimes.litert.ops.site import FUSED_ACTIVATIONS
from intaglio.runtimes.litert.scales.fit_operands import is_silent
from intaglio.targets.runtime import Ranges


def fit_clamps(
    graph: Graph, plan: Plan, grids: Mapping[str, QuantParams], ranges: Ranges
) -> dict[str, QuantParams]:
    """Return grids in which a value that was always zero ends where its own clamp does."""
    found = dict(grids)
    alone = {group[0] for group in plan.groups if len(group) == 1} - set(plan.fixed)
    for node in graph:
        activation = node.attrs.get("activation")
        if node.name not in alone or activation is None or activation in FUSED_ACTIVATIONS:
            continue
        low, high = (bound if math.isfinite(bound) else 0.0 for bound in activation)
        if is_silent(node.name, ranges) and low < high:
            bounds = torch.tensor(low), torch.tensor(high)
            found[node.name] = params_from_range(*bounds, plan.activations[node.name])
    return found
