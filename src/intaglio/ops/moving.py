"""Which ops move or select values and compute none: inputs and result share one integer grid."""

from __future__ import annotations

from intaglio.ir.graph import Graph, Node

SHARING = {
    "concat",
    "pad",
    "reshape",
    "transpose",
    "slice",
    "resize",
    "depth_to_space",
    "max_pool2d",
    "avg_pool2d",
}
"""Ops whose inputs and result must be on one grid."""


def shares_a_grid(graph: Graph, node: Node) -> bool:
    """Whether a node's inputs and result must be on one grid."""
    return node.op in SHARING or copies_values(graph, node)


def copies_values(graph: Graph, node: Node) -> bool:
    """Whether a convolution computes nothing: each value is one of its input's, or padding."""
    if node.op != "conv2d" or "bias" in node.params or node.attrs["activation"] is not None:
        return False
    weight = graph.param(node, "weight")
    return weight.shape[1:] == (1, 1, 1) and bool((weight == 1.0).all())
