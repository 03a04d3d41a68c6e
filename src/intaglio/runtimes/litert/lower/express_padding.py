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

    A max pool pads with minus infinity and `pad` with zero: the two agree only where no value is
    negative. Other max pools are left alone: their writer pads with the lowest integer.
    """
    changed = 0
    for node in graph:
        if node.op not in ("conv2d", "max_pool2d") or padding_word(graph, node) is not None:
            continue
        if node.op == "max_pool2d" and not never_negative(graph, node.inputs[0]):
            continue
        top, bottom, left, right = node.attrs["padding"]
        batch, channels, height, width = graph[node.inputs[0]].shape
        pad = Node(
            graph.unique_name(f"{node.name}.pad"),
            "pad",
            list(node.inputs),
            {},
            {"padding": (left, right, top, bottom), "value": 0.0},
            (batch, channels, height + top + bottom, width + left + right),
            node.source,
        )
        insert_before(graph, node.name, pad)
        node.inputs = [pad.name]
        node.attrs["padding"] = (0, 0, 0, 0)
        changed += 1
    return changed
