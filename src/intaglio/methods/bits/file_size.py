"""How large a file will be, from the graph and the bits of its weights alone.

A search over bits needs the size before anything is rounded or written. The rule counts the data
exactly (weights, biases, scales, shared zero points) and the records around it by constants that
were measured on written files: it is right to one part in a hundred, and never too small there.
"""

from __future__ import annotations

from collections.abc import Mapping

from intaglio.ir.graph import Graph, Node
from intaglio.ops.traits import WEIGHTED

CHANNEL_BYTES = 12
"""float32 scales of weight and bias, int32 bias."""
ZERO_POINT_BYTES = 8
"""int64, of each channel; vectors of equal length are stored once."""
FILE_BYTES, LAYER_BYTES, NODE_BYTES = 2000, 310, 145
"""Records of the whole file; of a layer with weights (3 tensors); of another node."""
FLOAT_BYTES = 4


def file_size_bytes(graph: Graph, bits: Mapping[str, int]) -> int:
    """Return what a file of the graph takes, without metadata.

    Args:
        graph: A lowered graph.
        bits: Layer to bits of its weight; layers without an entry stay in float.
    """
    return fixed_bytes(graph, bits) + sum(
        weight_bytes(graph, name, width) for name, width in bits.items()
    )


def weight_bytes(graph: Graph, layer: str, bits: int) -> int:
    """Return what the packed integers of a layer's weight take; rows are whole bytes there."""
    return -(-graph.param(graph[layer], "weight").numel() * bits // 8)


def fixed_bytes(graph: Graph, layers: Mapping[str, int]) -> int:
    """Return what a file takes beside the integers of the weights of `layers`."""
    total, lengths = FILE_BYTES, set()
    for node in graph:
        if node.op not in WEIGHTED:
            total += NODE_BYTES + len(node.name) + _constant_bytes(graph, node)
            continue
        total += LAYER_BYTES + 3 * len(node.name)
        if node.name in layers:
            total += CHANNEL_BYTES * node.channels
            lengths.add(node.channels)
        else:
            total += FLOAT_BYTES * (graph.param(node, "weight").numel() + node.channels)
    return total + ZERO_POINT_BYTES * sum(lengths)


def _constant_bytes(graph: Graph, node: Node) -> int:
    return FLOAT_BYTES * sum(graph.params[key].numel() for key in node.params.values())
