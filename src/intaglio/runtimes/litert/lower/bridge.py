"""A value on a grid of its own, for those of its readers that share a grid with other values."""

from __future__ import annotations

from intaglio.ir.edit import insert_before, redirect
from intaglio.ir.graph import Graph, Node
from intaglio.runtimes.litert.lower.guard_factors import shares

UNBOUNDED = (float("-inf"), float("inf"))


def bridge(graph: Graph, node: Node) -> bool:
    """Put a requantizing `clamp` between a value and its readers that share grids.

    Returns:
        Whether there were any.
    """
    sharing = [reader for reader in graph.readers(node.name) if shares(graph, reader)]
    if not sharing:
        return False
    made = requantized(graph, node, before=sharing[0].name)
    others = {reader.name for reader in graph.readers(node.name)} - {
        reader.name for reader in sharing
    }
    outputs = list(graph.outputs)
    redirect(graph, node.name, made.name, keep=frozenset(others | {made.name}))
    graph.outputs = outputs
    return True


def requantized(graph: Graph, node: Node, *, before: str) -> Node:
    """Return a new `clamp` of a value without bounds, put before a node: another grid for it."""
    clamp = Node(
        graph.unique_name(f"{node.name}.requantize"),
        "clamp",
        [node.name],
        {},
        {"activation": UNBOUNDED},
        node.shape,
        node.source,
    )
    return insert_before(graph, before, clamp)
