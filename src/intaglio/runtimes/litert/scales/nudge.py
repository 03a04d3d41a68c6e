"""Scales on which x86-64 and ARM agree to the bit.

XNNPACK computes MUL, MEAN and the table ops differently on the two: MUL in float32 on one and in
integers on the other, MEAN and tables with fused multiply-adds on ARM. Both are known, and all
inputs can be gone through: 65,536 products, n * 255 + 1 sums, 256 table entries
(agreement.py). Where they disagree anywhere the output scale is raised by one ulp,
until they agree everywhere. A handful of ulp changes no accuracy: it is a relative change below
3e-5.

The grid of a sigmoid or tanh that stands alone is prescribed, a power of two, and stays:
multiplying by it is exact, so fusing changes nothing. Only the last bits of a library's tanh can
matter there; the scale of its input is raised then.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from intaglio.errors import UnsupportedByTarget
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.plan import Plan, with_derived
from intaglio.numerics.spec import QuantParams
from intaglio.runtimes.litert.scales.agreement import AGREEMENTS

MOST_ULPS = 4096


def nudge_scales(
    graph: Graph, plan: Plan, grids: Mapping[str, QuantParams], target: str
) -> dict[str, QuantParams]:
    """Return grids, derived ones included, on which every op agrees on both architectures.

    Args:
        target: Its name, for the message.

    Raises:
        UnsupportedByTarget: If no scale within MOST_ULPS does it; names the layer.
    """
    found = with_derived(plan, grids)
    group_of = {name: group for group in plan.groups for name in group}
    tries: dict[str, int] = {}
    settled = False
    while not settled:
        settled = True
        for node in graph:
            if node.op not in AGREEMENTS or node.name not in found:
                continue
            while not _agrees(graph, node, found):
                settled = False
                raised = _value_to_raise(plan, group_of, node)
                tries[node.name] = tries.get(node.name, 0) + 1
                if raised is None or tries[node.name] > MOST_ULPS:
                    raise _no_scale(node, target)
                found.update(dict.fromkeys(group_of[raised], _one_ulp_up(found[raised])))
                found = with_derived(plan, found)
    return found


def _value_to_raise(plan: Plan, group_of: Mapping[str, tuple[str, ...]], node: Node) -> str | None:
    """Return the value whose scale decides about a node's bits and may be moved, or None.

    Mostly it is the node's own; where that is prescribed it is an input's.
    """
    if node.op == "mean" and group_of[node.name] is group_of[node.inputs[0]]:
        return None  # only the ratio of the two scales counts, and they would move together
    for name in (node.name, *node.inputs):
        while name in plan.derived:
            name = plan.derived[name][0]
        if name not in plan.fixed:
            return name
    return None


def _agrees(graph: Graph, node: Node, grids: Mapping[str, QuantParams]) -> bool:
    inputs = tuple(grids[name] for name in node.inputs)
    axes = node.attrs.get("axes", ())
    count = math.prod(graph[node.inputs[0]].shape[axis] for axis in axes)
    return AGREEMENTS[node.op](inputs, grids[node.name], count, node)


def _one_ulp_up(params: QuantParams) -> QuantParams:
    scale = torch.nextafter(params.scale, torch.tensor(float("inf")))
    return QuantParams(scale, params.zero_point, params.spec)


def _no_scale(node: Node, target: str) -> UnsupportedByTarget:
    return UnsupportedByTarget(
        node.source or node.name,
        node.op,
        target,
        reason="no scale was found on which x86-64 and ARM compute the same bits",
        try_instead="Calibrate with other images (another --seed), or keep its result out of"
        " concatenations with its input",
        node=node.name,
    )
