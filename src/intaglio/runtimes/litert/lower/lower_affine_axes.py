"""Affines of values that are no images: a product and a sum with stored values."""

from __future__ import annotations

from torch import Tensor

from intaglio.ir.edit import insert_before
from intaglio.ir.graph import Graph, Node
from intaglio.passes.graph_pass import graph_pass


@graph_pass
def lower_affine_axes(graph: Graph) -> int:
    """y = g x + b per channel of three or five axes becomes a `mul` and an `add` of constants.

    Of two and four axes it is a layer with weights already (lower_affine).
    """
    changed = 0
    for node in graph:
        if node.op != "affine" or len(node.shape) in (2, 4):
            continue
        gain = _constant(graph, node, "gain", graph.param(node, "weight"))
        shift = _constant(graph, node, "shift", graph.param(node, "bias"))
        name = graph.unique_name(f"{node.name}.scaled")
        attrs = {"activation": None}
        made = Node(name, "mul", [node.inputs[0], gain], {}, attrs, node.shape, node.source)
        insert_before(graph, node.name, made)
        node.op, node.inputs, node.params = "add", [name, shift], {}
        changed += 1
    return changed


def _constant(graph: Graph, node: Node, what: str, values: Tensor) -> str:
    """Insert stored values, one for each channel; return the name."""
    stored = values.reshape(1, -1, *[1] * (len(node.shape) - 2))
    name = graph.unique_name(f"{node.name}.{what}")
    made = Node(name, "constant", shape=tuple(stored.shape), source=node.source)
    insert_before(graph, node.name, made)
    graph.set_param(made, "value", stored)
    return name
