"""ReLU6 becomes ReLU: what makes a network fully equalizable, at the price of its clamps."""

from __future__ import annotations

from intaglio.ir.graph import Graph
from intaglio.ops.traits import WEIGHTED
from intaglio.passes.graph_pass import graph_pass

RELU6 = (0.0, 6.0)
RELU = (0.0, float("inf"))
GATED = ("mul", "rescale", "div")
"""Products, and what scales one side of them: behind it a ReLU6 may be a gate."""


@graph_pass
def relu6_to_relu(graph: Graph) -> int:
    """Replace the ReLU6 of each layer by ReLU, where nothing multiplies with it; return how many.

    This changes the network's function wherever a value exceeds 6: measure the float network
    afterwards. A ReLU6 whose value is a factor is part of a hard-sigmoid or hard-swish and stays.
    """
    changed = 0
    for node in graph:
        if node.op not in WEIGHTED or node.attrs["activation"] != RELU6:
            continue
        if not any(reader.op in GATED for reader in graph.readers(node.name)):
            node.attrs["activation"] = RELU
            changed += 1
    return changed
