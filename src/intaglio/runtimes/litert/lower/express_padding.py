"""Padding that the file's SAME and VALID cannot say becomes a node of its own."""

from __future__ import annotations

from intaglio.ir.edit import insert_before
from intaglio.ir.graph import Graph, Node
from intaglio.ops.padding import padding_word
from intaglio.ops.traits import never_negative
from intaglio.passes.graph_pass import graph_pass


@graph_pass
def express_padding(graph: Graph) -> int:
    """Give each convolution and max pool whose padding the file cannot say a `pad` node before it.

    A max pool pads with minus infinity. Where no value is negative zero does as well, and PAD,
    which pads with zeros alone, is the faster operator.
    """
    changed = 0
    for node in graph:
        if node.op not in ("conv2d", "max_pool2d") or padding_word(graph, node) is not None:
            continue
        zero = node.op == "conv2d" or never_negative(graph, node.inputs[0])
        top, bottom, left, right = node.attrs["padding"]
        batch, channels, height, width = graph[node.inputs[0]].shape
        pad = Node(
            graph.unique_name(f"{node.name}.pad"),
            "pad",
            list(node.inputs),
            {},
            {"padding": (left, right, top, bottom), "value": 0.0 if zero else float("-inf")},
            (batch, channels, height + top + bottom, width + left + right),
            node.source,
        )
        insert_before(graph, node.name, pad)
        node.inputs = [pad.name]
        node.attrs["padding"] = (0, 0, 0, 0)
        changed += 1
    return changed
