"""Concatenations of unequal parts at a network's very end, which stay float32.

Boxes in pixels beside scores between 0 and 1, in one output: one integer grid for both is a grid
for the boxes, and leaves two or three levels to the scores. A concatenation behind which values are
only moved costs nothing in float, and each of its parts then has a grid of its own.

What is unequal shows when ranges are known, so the plan is made twice: `calibrate.observe_ranges`
works on the first one, and the second (`make_plan(..., float_tails=...)`) needs no range that the
first had not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from intaglio.calibrate.float_islands import is_float_tail, only_moves
from intaglio.calibrate.plan import grid_groups
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.plan import Plan
from intaglio.targets.runtime import Ranges
from intaglio.targets.target import Target

UNEQUAL = 4.0
"""How many times as wide as a part its shared grid may be: two of eight bits are lost to it then.

A step four times as large costs 12 dB. Of 8 bits, which is about 40 dB for values that fill a grid,
28 dB are left, just above what a network is asked to keep (25 dB); beyond that a part is destroyed
that would have been good by itself.
"""
JOINED = "it joins values that stay in float, at the network's end"


def unequal_tails(graph: Graph, plan: Plan, ranges: Ranges, target: Target) -> dict[str, str]:
    """Return the final concatenations that are to stay float32, each with the reason.

    A concatenation is final where all that is computed from it are outputs, by ops that only move
    values, or by a softmax that stays in float too.

    Args:
        graph: As `make_plan` returned it, with `plan`.
        ranges: What was observed for them.
    """
    final = _final_concatenations(graph, plan, target)
    extents = _extents(graph, plan, ranges, target, set(final))
    found: dict[str, str] = {}
    for name in final:  # in the graph's order: what is joined first is judged first
        node, spec = graph[name], plan.activations[name]
        share, levels = _narrowest_share(node, extents), spec.qmax - spec.qmin
        if any(_moved_from(graph, source) in found for source in node.inputs):
            found[name] = JOINED
        elif share * UNEQUAL < 1.0:
            found[name] = (
                "parts of very different ranges are joined at the network's end: one grid would"
                f" leave the narrowest with {share * levels:.0f} of {levels} steps"
            )
    return found


def _final_concatenations(graph: Graph, plan: Plan, target: Target) -> list[str]:
    """Return concatenations on one integer grid whose values are only moved from there on."""
    last: set[str] = set()
    for node in reversed(list(graph)):
        moves_on = only_moves(node) and all(
            reader.name in last for reader in graph.readers(node.name)
        )
        if moves_on or is_float_tail(graph, node):
            last.add(node.name)
    return [
        node.name
        for node in graph
        if node.op == "concat"
        and node.name in last & plan.activations.keys()
        and target.shares(graph, node)
    ]


def _moved_from(graph: Graph, name: str) -> str:
    """Return the concatenation, or the layer that computes, whose values are moved to `name`."""
    while only_moves(graph[name]) and graph[name].op != "concat":
        name = graph[name].inputs[0]
    return name


def _extents(
    graph: Graph, plan: Plan, ranges: Ranges, target: Target, final: set[str]
) -> dict[str, tuple[float, float]]:
    """Return (low, high) of the grid that each value would have if `final` were in float.

    As on every grid, zero is in it. Of the concatenations: what all their parts together span.
    """
    behind = set(final)
    for node in graph:
        if behind.intersection(node.inputs):
            behind.add(node.name)
    integer = [node for node in graph if node.name in plan.activations.keys() - behind]
    found: dict[str, tuple[float, float]] = {}
    for group in grid_groups(graph, integer, target.shares):
        found |= dict.fromkeys(
            group, _union(_real(ranges[name]) for name in group if name in ranges)
        )
    for node in graph:
        if node.name in behind:
            found[node.name] = _union(found[name] for name in node.inputs)
    return found


def _real(bounds: tuple[Tensor, Tensor]) -> tuple[float, float]:
    return float(bounds[0]), float(bounds[1])


def _union(spans: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Return the span of several, and of zero."""
    known = [(0.0, 0.0), *spans]
    return min(low for low, _ in known), max(high for _, high in known)


def _narrowest_share(node: Node, extents: Mapping[str, tuple[float, float]]) -> float:
    """Return how much of a concatenation's grid its narrowest part spans, 0 to 1."""
    low, high = extents[node.name]
    widths = [above - below for below, above in (extents[name] for name in node.inputs)]
    # a part of nothing but zeros is exact on every grid
    return min((width / (high - low) for width in widths if width), default=1.0)
