"""Nodes that change nothing disappear."""

from __future__ import annotations

from intaglio.ir.edit import bypass
from intaglio.ir.graph import Graph, Node
from intaglio.passes.graph_pass import graph_pass


@graph_pass
def remove_noop(graph: Graph) -> int:
    """Remove nodes that return their input unchanged, merge reshapes in a row; return how many."""
    removed = 0
    for node in graph:
        if _is_noop(graph, node):
            bypass(graph, node)
            removed += 1
        elif node.op == "reshape" and graph[node.inputs[0]].op == "reshape":
            node.inputs = list(graph[node.inputs[0]].inputs)
            removed += 1
    return removed + graph.drop_unused()


def _is_noop(graph: Graph, node: Node) -> bool:
    if len(node.inputs) != 1:
        return False
    same_shape = graph[node.inputs[0]].shape == node.shape
    attrs = node.attrs
    if node.op in ("concat", "reshape", "slice", "adaptive_avg_pool2d"):
        return same_shape  # of these, the same shape means the same values
    if node.op == "resize":  # torch copies where sizes are equal, whatever the scales say
        return same_shape
    if node.op == "transpose":
        return list(attrs["order"]) == sorted(attrs["order"])
    if node.op == "pad":
        return not any(attrs["padding"])
    if node.op in ("avg_pool2d", "max_pool2d"):
        is_unit = attrs["kernel"] == (1, 1) and attrs["stride"] == (1, 1)
        is_plain = attrs.get("activation") is None and attrs.get("divisor") in (None, 1)
        return is_unit and same_shape and is_plain
    if node.op == "clamp":
        return bool(attrs["activation"] == (float("-inf"), float("inf")))
    return node.op == "rescale" and attrs["factor"] == 1.0
