"""Scales of products' operands and results within what the target's kernel takes.

XNNPACK's MUL takes multipliers s_a s_b / s_y from 2**-16 to 2**8. A result whose scale was raised
for the sum that reads it (fit_operands.py), as that of a branch times 1e-6, lies below: no product
of its operands reaches more than one of its steps, so that a coarser operand changes nothing. A
result whose whole range is below its operands' steps lies above.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from intaglio.ir.graph import Graph, Node
from intaglio.numerics.plan import Plan
from intaglio.numerics.spec import QuantParams
from intaglio.runtimes.litert.ops.elementwise import mul_multiplier, unit_constant
from intaglio.runtimes.litert.scales.fit_operands import MARGIN, is_silent
from intaglio.targets.runtime import Ranges

ROUNDS = 3
"""A value that was always zero may be moved for one product after the other that reads it."""
PRODUCTS = ("mul", "clamp", "rescale")


def fit_products(
    graph: Graph,
    plan: Plan,
    grids: Mapping[str, QuantParams],
    ranges: Ranges,
    limits: tuple[float, float],
) -> dict[str, QuantParams]:
    """Return grids, derived ones included, with scales moved to where products can be computed.

    An operand's scale is raised where the multiplier is too small, if it serves this product alone:
    a constant's rather than another's. The result's is raised where the multiplier is too large.
    Values that were zero on all images, whose scale means nothing, are moved either way. What is
    left outside the limits, the kernel refuses by name.

    Args:
        limits: Lowest multiplier that the kernel takes, and the lowest that is too large.
    """
    found = dict(grids)
    alone = {group[0] for group in plan.groups if len(group) == 1}
    movable = alone - set(plan.fixed) - set(plan.derived)
    for _ in range(ROUNDS):
        if not _fit_once(graph, found, ranges, movable, limits):
            break
    return found


def _fit_once(
    graph: Graph,
    found: dict[str, QuantParams],
    ranges: Ranges,
    movable: set[str],
    limits: tuple[float, float],
) -> int:
    """Move scales for each product that lies outside the limits; return for how many."""
    moved = 0
    products = [node for node in graph if node.op in PRODUCTS and node.name in found]
    for node in reversed(products):
        excess = _excess(_multiplier(node, found), limits)
        if excess == 1.0:
            continue
        operands = _own_operands(graph, node, movable)
        silent = [name for name in node.inputs if name in movable and is_silent(name, ranges)]
        if node.name in movable and (excess > 1.0 or is_silent(node.name, ranges)):
            _scale(found, node.name, excess)
        elif silent or (operands and excess < 1.0):
            _scale(found, [*silent, *operands][0], 1.0 / excess)
        else:
            continue
        moved += 1
    return moved


def _excess(multiplier: float, limits: tuple[float, float]) -> float:
    """Return what a multiplier must be divided by to be just within the limits; 1 where it is."""
    low, high = limits
    if multiplier < low:
        return multiplier / (low * MARGIN)
    return multiplier * MARGIN / high if multiplier >= high else 1.0


def _multiplier(node: Node, grids: Mapping[str, QuantParams]) -> float:
    first, output = grids[node.inputs[0]], grids[node.name]
    second = unit_constant(node.attrs.get("factor", 1.0))
    if node.op == "mul":
        second = grids[node.inputs[1]]
    return max(float(mul_multiplier(first, second, output)), torch.finfo(torch.float32).tiny)


def _own_operands(graph: Graph, node: Node, movable: set[str]) -> Sequence[str]:
    """Return the operands that serve a product alone and may be moved, constants first."""
    own = [
        name
        for name in node.inputs
        if name in movable and graph.only_reader(name) is node and name not in graph.outputs
    ]
    return sorted(own, key=lambda name: graph[name].op != "constant")


def _scale(grids: dict[str, QuantParams], name: str, factor: float) -> None:
    grid = grids[name]
    scale = torch.tensor(float(grid.step) * factor, dtype=torch.float32)
    grids[name] = QuantParams(scale, grid.zero_point, grid.spec)
