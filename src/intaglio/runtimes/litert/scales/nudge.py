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

What counts in a product is the ratio of its operands' scales to its result's, s_a s_b / s_y. Where
the result shares its grid with one operand, the other's scale is raised: mostly a constant's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import replace

import torch

from intaglio.errors import UnsupportedByTarget
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.plan import Plan, with_derived
from intaglio.numerics.spec import QuantParams
from intaglio.runtimes.litert.scales.agreement import AGREEMENTS, LIBRARY

MOST_TRIES = 4096
"""Of one node, before its layer is refused."""
FEW_TRIES = 64
"""For an op that has another form, which is as exact (LIBRARY)."""
PATIENCE = 256
"""So many tries raise a scale by one ulp each, so many more by two, and so on: two nodes that each
undo what the other needs, because their ratios are each other's inverse, come apart."""
RATIOS = frozenset({"mul", "rescale", "clamp", "mean"})
"""Ops whose bits depend on the ratio of the product of their operands' scales to the result's."""


def nudge_scales(
    graph: Graph,
    plan: Plan,
    grids: Mapping[str, QuantParams],
    target: str,
    ops: Container[str] = AGREEMENTS,
) -> tuple[Plan, dict[str, QuantParams]]:
    """Return grids, derived ones included, on which every op agrees on both architectures.

    With them comes the plan: a grid that was moved off a prescribed one is derived no more.

    Args:
        target: Its name, for the message.
        ops: Those that are looked at.

    Raises:
        UnsupportedByTarget: If no scale within MOST_TRIES does it; names the layer.
    """
    found = with_derived(plan, grids)
    group_of = plan.group_of
    tries: dict[str, int] = {}
    settled = False
    while not settled:
        settled = True
        for node in graph:
            if node.op not in ops or node.name not in found:
                continue
            while not _agrees(graph, node, found):
                raised = _value_to_raise(plan, group_of, node)
                tries[node.name] = tries.get(node.name, 0) + 1
                if node.op in LIBRARY and (raised is None or tries[node.name] > FEW_TRIES):
                    break
                settled = False
                if raised is None or tries[node.name] > MOST_TRIES:
                    raise _no_scale(node, target)
                plan = _on_its_own(plan, raised)
                higher = _raised(found[raised], 1 + tries[node.name] // PATIENCE)
                found.update(dict.fromkeys(group_of[raised], higher))
                found = with_derived(plan, found)
    return plan, found


def _value_to_raise(plan: Plan, group_of: Mapping[str, tuple[str, ...]], node: Node) -> str | None:
    """Return the value whose scale decides about a node's bits and may be moved, or None.

    Mostly it is the node's own; where that is prescribed, or moves along with an operand's, it is
    an input's. A value that is derived from a prescribed grid can be moved off it.
    """
    sources = {name: _source(plan, name) for name in (node.name, *node.inputs)}
    power = Counter(group_of[sources[name]] for name in node.inputs)
    power[group_of[sources[node.name]]] -= 1
    for source in sources.values():
        if node.op in RATIOS and not power[group_of[source]]:
            continue
        if source not in plan.fixed:
            return source
    derived = [name for name in sources if name in plan.derived]
    return derived[0] if derived else None


def _source(plan: Plan, name: str) -> str:
    """Return the value whose grid the grid of another is derived from: itself where it is not."""
    while name in plan.derived:
        name = plan.derived[name][0]
    return name


def _on_its_own(plan: Plan, name: str) -> Plan:
    """Return the plan in which a value's grid is derived from no other."""
    if name not in plan.derived:
        return plan
    return replace(plan, derived={key: kept for key, kept in plan.derived.items() if key != name})


def _agrees(graph: Graph, node: Node, grids: Mapping[str, QuantParams]) -> bool:
    inputs = tuple(grids[name] for name in node.inputs)
    axes = node.attrs.get("axes", ())
    count = math.prod(graph[node.inputs[0]].shape[axis] for axis in axes)
    return AGREEMENTS[node.op](inputs, grids[node.name], count, node)


def _raised(params: QuantParams, ulps: int) -> QuantParams:
    scale = params.scale
    for _ in range(ulps):
        scale = torch.nextafter(scale, torch.tensor(float("inf")))
    return QuantParams(scale, params.zero_point, params.spec)


def _no_scale(node: Node, target: str) -> UnsupportedByTarget:
    return UnsupportedByTarget(
        node.source or node.name,
        node.op,
        target,
        reason="no scale was found on which x86-64 and ARM compute the same bits",
        try_instead="Calibrate with other images (another --seed)",
        node=node.name,
    )
