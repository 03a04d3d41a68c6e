"""ReLU, ReLU6 and other clamps move into the op that makes the value."""

from __future__ import annotations

from intaglio.ir.edit import bypass, insert_before
from intaglio.ir.graph import Graph, Node
from intaglio.ops.traits import MOVING, carries_activation
from intaglio.passes.graph_pass import graph_pass

COMMUTING = MOVING - {"pad", "slice"}
"""Ops that a clamp may pass: not where padding would escape it, or more be clamped than is kept."""


@graph_pass
def fuse_activation(graph: Graph) -> int:
    """Fuse each clamp into the op that alone feeds it; two clamps in a row become one.

    A clamp whose input has other readers is left alone.
    """
    fused = 0
    for node in graph:
        if node.op != "clamp" or node.name not in graph.nodes:
            continue
        maker = graph[node.inputs[0]]
        if not carries_activation(maker.op) or graph.only_reader(maker.name) is not node:
            continue
        maker.attrs["activation"] = _both(maker.attrs["activation"], node.attrs["activation"])
        bypass(graph, node)
        fused += 1
    return fused


@graph_pass
def hoist_clamp(graph: Graph) -> int:
    """Move a clamp in front of an op that only moves values, towards a layer that can hold it.

    clamp(concat(a, b)) = concat(clamp(a), clamp(b)), and likewise for the other ops of COMMUTING.
    It fires only when every value behind is made by an op that can hold the clamp.
    """
    moved = 0
    for node in graph:
        mover = graph[node.inputs[0]] if node.op == "clamp" else node
        if node.op != "clamp" or mover.op not in COMMUTING:
            continue
        if graph.only_reader(mover.name) is not node or mover.attrs.get("activation"):
            continue
        if not all(_can_hold(graph, name, mover) for name in mover.inputs):
            continue
        for index, name in enumerate(list(mover.inputs)):
            clamp = Node(
                graph.unique_name(f"{node.name}.{index}"),
                "clamp",
                [name],
                {},
                dict(node.attrs),
                graph[name].shape,
                node.source,
            )
            insert_before(graph, mover.name, clamp)
            mover.inputs[index] = clamp.name
        bypass(graph, node)
        moved += 1
    return moved


def _can_hold(graph: Graph, name: str, reader: Node) -> bool:
    maker = graph[name]
    holds = carries_activation(maker.op) or maker.op in COMMUTING
    return holds and graph.only_reader(name) is reader


def _both(
    first: tuple[float, float] | None, second: tuple[float, float]
) -> tuple[float, float] | None:
    """Return the one clamp that equals `first` and then `second`."""
    if first is None:
        return second
    (low, high), (low_2, high_2) = _ordered(first), _ordered(second)
    return (min(max(low, low_2), high_2), max(min(high, high_2), low_2))


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    """Return the same clamp with low <= high: torch gives `high` where they are not."""
    return (min(bounds), bounds[1])
