"""Scales of sums' operands within what the target's kernel takes.

XNNPACK's ADD and SUB take an operand whose scale is between 1/1024 and 256 times the sum's. An
operand whose whole range is less than a quarter of the sum's step (an epsilon, a branch that is
still almost silent) lies below, and one that is zero on all images, whose scale means nothing,
anywhere. A sum whose whole range is less than its operand's step (a gate that its activation keeps
almost shut) has the operand above.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from intaglio.ir.graph import Graph, Node
from intaglio.numerics.plan import Plan
from intaglio.numerics.spec import QuantParams
from intaglio.targets.runtime import Ranges

MARGIN = 1.01
"""Scales are moved by some ulp afterwards (runtimes/litert/scales/nudge.py)."""


def fit_operands(
    graph: Graph,
    plan: Plan,
    grids: Mapping[str, QuantParams],
    ranges: Ranges,
    limits: tuple[float, float],
) -> tuple[Plan, dict[str, QuantParams]]:
    """Return plan and grids with operands' scales moved to where their sums can be computed.

    A scale is raised where it is too small for the sum that alone reads the operand: the operand
    keeps a step far below the sum's. It is moved within the limits, either way, where the operand
    was zero on all images; so does what shares its grid. An operand whose grid was derived from
    another's gets one of its own then. The scale of a sum that was zero on all images is an
    operand's. A sum's scale is raised where it is too small for an operand's: within the operand's
    step, finer ones say nothing. What is left outside the limits, the kernel refuses by name.

    Args:
        limits: Lowest ratio of an operand's scale to its sum's that the kernel takes, and the
            lowest that is too large.
    """
    found, derived = dict(grids), dict(plan.derived)
    for node in graph:
        if node.op in ("add", "sub") and node.name in found:
            _fit_result(plan, node, ranges, found, derived, limits)
            _fit_operands_of(graph, plan, node, ranges, found, derived, limits)
    return replace(plan, derived=derived), found


def _fit_result(
    plan: Plan,
    node: Node,
    ranges: Ranges,
    found: dict[str, QuantParams],
    derived: Mapping[str, tuple[str, float]],
    limits: tuple[float, float],
) -> None:
    """Raise a sum's scale to what its operands need, where it is its own."""
    low, high = limits
    if len(plan.group_of[node.name]) > 1 or node.name in plan.fixed:
        return
    steps = [float(_grid(name, found, derived).step) for name in node.inputs]
    step = float(found[node.name].step)
    if is_silent(node.name, ranges) and not all(low <= one / step < high for one in steps):
        found[node.name] = _with_scale(found[node.name], max(steps))
    operands = [_grid(name, found, derived) for name in _heard(node, ranges)]
    step = max([float(grid.step) for grid in operands], default=0.0) / high
    if step >= float(found[node.name].step):
        found[node.name] = _with_scale(found[node.name], step * MARGIN)


def _fit_operands_of(
    graph: Graph,
    plan: Plan,
    node: Node,
    ranges: Ranges,
    found: dict[str, QuantParams],
    derived: dict[str, tuple[str, float]],
    limits: tuple[float, float],
) -> None:
    """Move the scales of a sum's operands, with all that shares their grids."""
    low, high = limits
    step = float(found[node.name].step)
    for name in node.inputs:
        group = plan.group_of[name]
        if name in plan.fixed or node.name in group:
            continue
        grid = _grid(name, found, derived)
        ratio = float(grid.step) / step
        if is_silent(name, ranges) and len(group) == 1 and not low <= ratio < high:
            found[name] = _with_scale(grid, step * min(max(ratio, 2 * low), high / 2))
        elif ratio < low and _serve_only(graph, group, node):
            found.update(dict.fromkeys(group, _with_scale(grid, step * low * MARGIN)))
            for member in group:
                derived.pop(member, None)


def _grid(
    name: str, grids: Mapping[str, QuantParams], derived: Mapping[str, tuple[str, float]]
) -> QuantParams:
    if name not in derived:
        return grids[name]
    source, factor = derived[name]
    grid = _grid(source, grids, derived)
    return _with_scale(grid, float(grid.step) * factor)


def is_silent(name: str, ranges: Ranges) -> bool:
    """Whether a value was zero on all images: its scale means nothing then."""
    return name in ranges and not any(bool(bound) for bound in ranges[name])


def _heard(node: Node, ranges: Ranges) -> list[str]:
    return [name for name in node.inputs if not is_silent(name, ranges)]


def _serve_only(graph: Graph, group: tuple[str, ...], node: Node) -> bool:
    """Whether values that share a grid are read by each other and by `node` alone."""
    readers = {reader.name for name in group for reader in graph.readers(name)}
    return readers - set(group) == {node.name} and not set(group).intersection(graph.outputs)


def _with_scale(grid: QuantParams, scale: float) -> QuantParams:
    return QuantParams(torch.tensor(scale, dtype=torch.float32), grid.zero_point, grid.spec)
