"""Operands with as many axes as the values that they meet."""

from __future__ import annotations

from intaglio.ir.edit import insert_before
from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.ops.traits import ELEMENTWISE
from intaglio.passes.graph_pass import graph_pass

LARGEST_COPY = 4096
"""Numbers of a constant that is stored for each of its readers."""


@graph_pass
def align_constants(graph: Graph) -> int:
    """Give constants leading axes of size 1 until they have as many as the result of their reader.

    torch aligns axes at the end: (C, 1, 1) beside [N, C, H, W] is one number a channel. The file
    has channels last, and only a constant with all four axes can be turned the same way. A constant
    that values of different rank read is duplicated.

    Returns:
        How many constants were given axes.
    """
    changed = 0
    for node in graph:
        if node.op != "constant":
            continue
        by_rank: dict[int, list[Node]] = {}
        for reader in graph.readers(node.name):
            if reader.op in ELEMENTWISE and len(reader.shape) > len(node.shape):
                by_rank.setdefault(len(reader.shape), []).append(reader)
        for rank, readers in by_rank.items():
            aligned = _aligned(graph, node, rank)
            for reader in readers:
                reader.inputs = [
                    aligned.name if name == node.name else name for name in reader.inputs
                ]
            changed += 1
        if by_rank and node.name not in graph.outputs and not graph.readers(node.name):
            del graph.nodes[node.name]
    graph.drop_unused()
    return changed


@graph_pass
def align_values(graph: Graph) -> int:
    """Give values leading axes of size 1, behind the batch, where they meet values of more axes.

    torch aligns axes at the end, so that the batch of the one with fewer axes meets another axis:
    only a batch of one, or a value without a batch, can do that.

    Returns:
        How many operands were given axes.
    """
    changed = 0
    for node in graph:
        if node.op not in ELEMENTWISE:
            continue
        for index, name in enumerate(node.inputs):
            value, rank = graph[name], len(node.shape)
            if len(value.shape) >= rank or value.op == "constant":
                continue
            added, batch = (1,) * (rank - len(value.shape)), value.shape[:1]
            shape = batch + added + value.shape[1:] if batch == (BATCH,) else added + value.shape
            wider = Node(
                graph.unique_name(f"{node.name}.aligned"),
                "reshape",
                [name],
                {},
                {"shape": shape},
                shape,
                node.source,
            )
            insert_before(graph, node.name, wider)
            node.inputs[index] = wider.name
            changed += 1
    return changed


@graph_pass
def own_constants(graph: Graph) -> int:
    """Give each reader of a small constant its own: the scale for one is too fine for another.

    An epsilon beside sums of different sizes is one number and has several grids.

    Returns:
        How many constants were added.
    """
    added = 0
    for node in graph:
        if node.op != "constant" or graph.param(node, "value").numel() > LARGEST_COPY:
            continue
        for reader in graph.readers(node.name)[1:]:
            if reader.op not in ELEMENTWISE:
                continue
            copy = Node(graph.unique_name(node.name), "constant", shape=node.shape)
            copy.source, copy.params = node.source, dict(node.params)
            insert_before(graph, reader.name, copy)
            reader.inputs = [copy.name if name == node.name else name for name in reader.inputs]
            added += 1
    return added


def _aligned(graph: Graph, node: Node, rank: int) -> Node:
    shape = (1,) * (rank - len(node.shape)) + node.shape
    name = graph.unique_name(f"{node.name}.aligned")
    made = insert_before(graph, node.name, Node(name, "constant", shape=shape, source=node.source))
    graph.set_param(made, "value", graph.param(node, "value").reshape(shape))
    return made
