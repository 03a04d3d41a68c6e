"""Multiply-accumulates and weights of every layer."""

from __future__ import annotations

import math

from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.ops.traits import TRAITS

STATISTICS = ("mean", "var", "value")
"""Roles that are stored but not learned: the statistics of a batch norm, and constants."""


def count_macs(graph: Graph) -> dict[str, int]:
    """Return the multiply-accumulates of every node for one image, by node name.

    Convolutions, transposed convolutions, fully connected layers and products of two values are
    counted, positions in the padding included, biases not; every other op counts 0. This is the
    count that papers state (MobileNetV2 at 224 x 224: 300.77 million).
    """
    return {node.name: _macs(graph, node) for node in graph.nodes.values()}


def count_params(graph: Graph) -> dict[str, int]:
    """Return the number of learned weights that every node reads, by node name.

    A weight that a reused layer reads twice is listed at each of its nodes; `total_params` counts
    it once. The mean and variance of a batch norm, and constants, are not counted.
    """
    return {
        node.name: sum(graph.params[key].numel() for key in _learned(node))
        for node in graph.nodes.values()
    }


def total_params(graph: Graph) -> int:
    """Return the number of learned weights of the network; a weight that is shared counts once."""
    keys = {key for node in graph.nodes.values() for key in _learned(node)}
    return sum(graph.params[key].numel() for key in keys)


def _macs(graph: Graph, node: Node) -> int:
    """Return how many values of the result, or of the input, meet how many weights each.

    A value of a convolution, and of a linear layer, sums C_in / groups * kH * kW products; one that
    a transposed convolution reads is multiplied into C_out / groups * kH * kW places. A value of a
    product [M, K] [K, P] sums K products.
    """
    if node.op == "matmul":
        return _per_image(node.shape) * graph[node.inputs[0]].shape[-1]
    counted = TRAITS[node.op].weights.macs
    if counted == "none":
        return 0
    if counted == "pairs":
        return _per_image(node.shape) * graph[node.inputs[0]].shape[-1]
    shape = node.shape if counted == "result" else graph[node.inputs[0]].shape
    return _per_image(shape) * math.prod(graph.param(node, "weight").shape[1:])


def _learned(node: Node) -> list[str]:
    return [key for role, key in node.params.items() if role not in STATISTICS]


def _per_image(shape: tuple[int, ...]) -> int:
    return math.prod(size for size in shape if size != BATCH)
