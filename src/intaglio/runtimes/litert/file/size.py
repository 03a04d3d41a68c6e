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


def size_bytes(graph: Graph, bits: Mapping[str, int]) -> int:
    """Return what a file of the graph takes, without metadata.

    The packed integers of a weight are counted in whole bytes; rows are whole bytes there.

    Args:
        graph: A lowered graph.
        bits: Layer to bits of its weight; layers without an entry stay in float.
    """
    total, lengths = FILE_BYTES, set()
    for node in graph:
        if node.op not in WEIGHTED:
            total += NODE_BYTES + len(node.name) + _constant_bytes(graph, node)
            continue
        total += LAYER_BYTES + 3 * len(node.name)
        count = graph.param(node, "weight").numel()
        if node.name in bits:
            total += CHANNEL_BYTES * node.channels - (-count * bits[node.name] // 8)
            lengths.add(node.channels)
        else:
            total += FLOAT_BYTES * (count + node.channels)
    return total + ZERO_POINT_BYTES * sum(lengths)


def _constant_bytes(graph: Graph, node: Node) -> int:
    return FLOAT_BYTES * sum(graph.params[key].numel() for key in node.params.values())
