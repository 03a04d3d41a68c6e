"""Second factors of products without the integer -128, which some processors cannot multiply.

The delegate takes the second factor of BATCH_MATMUL for a weight, and weights are never -128. Its
kernels for ARM without dot products (Cortex-A53, A72) add two products in 16 bits, and twice
-128 x -128 is one too many. The number -1 times -128 saturates at 127: a value that is negated
twice is what it was, from -127 on.
"""

from __future__ import annotations

from intaglio.ir.edit import insert_before
from intaglio.ir.graph import Graph, Node
from intaglio.ops.traits import shares_a_grid
from intaglio.passes.graph_pass import graph_pass
from intaglio.runtimes.litert.ops.function import NEGATION


@graph_pass
def guard_factors(graph: Graph) -> int:
    """Negate the second factor of every product twice, on its own grid."""
    guarded: dict[str, str] = {}
    for node in graph:
        if node.op != "matmul" or guards(graph, graph[node.inputs[1]]):
            continue
        factor = node.inputs[1]
        if factor not in guarded:
            guarded[factor] = _negated(graph, node, _negated(graph, node, factor))
        node.inputs = [node.inputs[0], guarded[factor]]
    return len(guarded)


def guards(graph: Graph, node: Node) -> bool:
    """Whether a node is one of those that stand before a second factor, on its grid."""
    if node.op != "function" or node.attrs["chain"] != NEGATION or node.name in graph.outputs:
        return False
    readers = graph.readers(node.name)
    return bool(readers) and all(
        (reader.op == "matmul" and reader.inputs[0] != node.name) or guards(graph, reader)
        for reader in readers
    )


def shares(graph: Graph, node: Node) -> bool:
    """Whether a node's inputs and its result must be on one grid."""
    return shares_a_grid(graph, node) or guards(graph, node)


def _negated(graph: Graph, node: Node, name: str) -> str:
    made = Node(graph.unique_name(f"{node.name}.negated"), "function", [name])
    made.attrs, made.shape, made.source = {"chain": NEGATION}, graph[name].shape, node.source
    return insert_before(graph, node.name, made).name
