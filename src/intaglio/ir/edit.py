"""Changes to a graph that keep it legal: insert, bypass, redirect, and finding chains."""

from __future__ import annotations

from collections.abc import Iterator

from intaglio.errors import GraphError
from intaglio.ir.graph import Graph, Node


def chains(graph: Graph, first: str, second: str) -> Iterator[tuple[Node, Node]]:
    """Yield pairs (a, b) where a is a `first` op whose value only the `second` op b reads."""
    for node in graph:
        if node.op != first or node.name not in graph.nodes:
            continue
        reader = graph.only_reader(node.name)
        if reader is not None and reader.op == second and reader.inputs[0] == node.name:
            yield node, reader


def bypass(graph: Graph, node: Node) -> None:
    """Remove a node; its readers read its first input instead."""
    redirect(graph, node.name, node.inputs[0])
    del graph.nodes[node.name]


def redirect(graph: Graph, old: str, new: str, *, keep: frozenset[str] = frozenset()) -> None:
    """Make every reader of `old`, and the outputs, read `new`; the nodes named in `keep` stay."""
    if new not in graph.nodes:
        raise GraphError(f"cannot read '{new}': there is no such node")
    for node in graph.nodes.values():
        if node.name not in keep:
            node.inputs = [new if name == old else name for name in node.inputs]
    graph.outputs = [new if name == old else name for name in graph.outputs]


def insert_before(graph: Graph, anchor: str, node: Node) -> Node:
    """Put a new node just before `anchor` in the order; edges are left as they are."""
    return _insert(graph, anchor, node, after=False)


def insert_after(graph: Graph, anchor: str, node: Node) -> Node:
    """Put a new node just behind `anchor` in the order; edges are left as they are."""
    return _insert(graph, anchor, node, after=True)


def replace(graph: Graph, old: Node, new: Node) -> Node:
    """Put `new` in the place of `old`, under the name of `old`; readers see no difference."""
    new.name = old.name
    graph.nodes[old.name] = new
    return new


def _insert(graph: Graph, anchor: str, node: Node, *, after: bool) -> Node:
    if node.name in graph.nodes:
        raise GraphError(f"two nodes are called '{node.name}'")
    order = list(graph.nodes)
    order.insert(order.index(anchor) + after, node.name)
    graph.nodes[node.name] = node
    graph.reorder(order)
    return node
