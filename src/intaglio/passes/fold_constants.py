"""What depends on no image is computed once."""

from __future__ import annotations

import torch

from intaglio.ir.edit import replace
from intaglio.ir.graph import Graph, Node
from intaglio.ops import OPS
from intaglio.ops.traits import GIVEN
from intaglio.passes.graph_pass import graph_pass


@graph_pass
def fold_constants(graph: Graph) -> int:
    """Turn every node that reads only constants into a constant; return how many.

    The value is the op's own float32 result: nothing is rounded that would not be at run time. A
    random call stays.
    """
    folded = 0
    for node in graph:
        if not _is_fixed(graph, node):
            continue
        inputs = [graph.param(graph[name], "value") for name in node.inputs]
        with torch.no_grad():
            value = OPS[node.op].function(node, inputs, graph.params_of(node))
        constant = replace(graph, node, Node(node.name, "constant", source=node.source))
        constant.shape = tuple(value.shape)
        graph.set_param(constant, "value", value.clone())
        folded += 1
    graph.drop_unused()
    return folded


def _is_fixed(graph: Graph, node: Node) -> bool:
    if node.op in GIVEN:
        return False
    if node.op == "opaque" and torch.Tag.nondeterministic_seeded in node.attrs["call"].tags:
        return False
    return all(graph[name].op == "constant" for name in node.inputs)
