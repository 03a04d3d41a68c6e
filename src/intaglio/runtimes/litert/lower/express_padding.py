"""Padding that the file's SAME and VALID cannot say becomes a node of its own."""

from __future__ import annotations

from intaglio.ir.edit import insert_before
from intaglio.ir.graph import Graph, Node
from intaglio.ops.padding import same_padding as same_along_axis
from intaglio.passes.graph_pass import graph_pass

Padding = tuple[int, int, int, int]
"""(top, bottom, left, right)."""


def same_padding(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> Padding:
    """Return what TensorFlow's SAME pads for ceil(size / stride) outputs; odd rests go behind."""
    ends: list[int] = []
    for length, extent, step, rate in zip(size, kernel, stride, dilation, strict=True):
        ends += same_along_axis(length, extent, stride=step, dilation=rate)
    return (ends[0], ends[1], ends[2], ends[3])


def window(graph: Graph, node: Node) -> tuple[int, int]:
    """Return (height, width) of the window of a convolution or pool."""
    if node.op == "conv2d":
        height, width = graph.param(node, "weight").shape[2:]
        return height, width
    kernel: tuple[int, int] = node.attrs["kernel"]
    return kernel


def padding_word(graph: Graph, node: Node) -> str | None:
    """Return "VALID" or "SAME" where that says the node's padding, else None."""
    padding = tuple(node.attrs["padding"])
    if not any(padding):
        return "VALID"
    height, width = graph[node.inputs[0]].shape[2:]
    attrs = node.attrs
    same = same_padding((height, width), window(graph, node), attrs["stride"], attrs["dilation"])
    return "SAME" if padding == same else None


@graph_pass
def express_padding(graph: Graph) -> int:
    """Give each convolution and max pool whose padding the file cannot say a `pad` node before it.

    A max pool pads with minus infinity and `pad` with zero: the two agree only where no value is
    negative. Other max pools are left alone, for the writer to refuse.
    """
    changed = 0
    for node in graph:
        if node.op not in ("conv2d", "max_pool2d") or padding_word(graph, node) is not None:
            continue
        if node.op == "max_pool2d" and not _never_negative(graph, node.inputs[0]):
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


def _never_negative(graph: Graph, name: str) -> bool:
    node = graph[name]
    activation = node.attrs.get("activation")
    if activation is not None:
        return bool(activation[0] >= 0.0)
    moves = ("concat", "max_pool2d", "pad", "reshape", "resize", "depth_to_space", "rescale")
    if node.op in moves:
        return all(_never_negative(graph, source) for source in node.inputs)
    return node.op == "sigmoid"
