"""Entries of one axis in another order, without the runtime's GATHER where that can be."""

from __future__ import annotations

from intaglio.ir.edit import bypass, insert_before, replace
from intaglio.ir.graph import Graph, Node
from intaglio.passes.graph_pass import graph_pass

MOST_PIECES = 5
"""As many as one concatenation of the delegate takes."""


@graph_pass
def lower_take(graph: Graph) -> int:
    """Channels of a layer are chosen by the rows of its weight; a few pieces are cut and joined.

    What is left is GATHER, a copy in a built-in kernel.
    """
    changed = 0
    for node in graph:
        if node.op == "take":
            changed += _choose_rows(graph, node) or _cut_and_join(graph, node)
    return changed


def _choose_rows(graph: Graph, node: Node) -> bool:
    """Let the layer that makes the channels make them in the order that is wanted, if it can."""
    maker, indices = graph[node.inputs[0]], list(node.attrs["indices"])
    is_plain = (maker.op == "conv2d" and maker.attrs["groups"] == 1) or maker.op == "linear"
    axis = 1 if maker.op == "conv2d" else len(node.shape) - 1
    if not is_plain or node.attrs["axis"] != axis or graph.only_reader(maker.name) is not node:
        return False
    for role in ("weight", "bias"):
        if role in maker.params:
            graph.set_param(maker, role, graph.param(maker, role)[indices])
    maker.shape = node.shape
    bypass(graph, node)
    return True


def _cut_and_join(graph: Graph, node: Node) -> bool:
    """Rewrite a node whose indices are few runs of neighbours as slices, concatenated."""
    axis, pieces = node.attrs["axis"], _runs(node.attrs["indices"])
    if len(pieces) > MOST_PIECES:
        return False
    if len(pieces) == 1:
        replace(graph, node, _piece(node, node.name, *pieces[0]))
        return True
    names = []
    for start, stop in pieces:
        piece = _piece(node, graph.unique_name(f"{node.name}.piece"), start, stop)
        names.append(insert_before(graph, node.name, piece).name)
    joined = Node(node.name, "concat", names, {}, {"axis": axis}, node.shape, node.source)
    replace(graph, node, joined)
    return True


def _piece(node: Node, name: str, start: int, stop: int) -> Node:
    axis = node.attrs["axis"]
    attrs = {"axis": axis, "start": start, "stop": stop, "step": 1}
    shape = (*node.shape[:axis], stop - start, *node.shape[axis + 1 :])
    return Node(name, "slice", list(node.inputs), {}, attrs, shape, node.source)


def _runs(indices: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return the (start, stop) of neighbours that follow each other, in order."""
    found: list[tuple[int, int]] = []
    for index in indices:
        if found and found[-1][1] == index:
            found[-1] = (found[-1][0], index + 1)
        else:
            found.append((index, index + 1))
    return found
