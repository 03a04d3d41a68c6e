"""TensorFlow's SAME and VALID padding: how much it is, and which layers it says the padding of."""

from __future__ import annotations

from intaglio.ir.graph import Graph, Node

Margins = tuple[int, int, int, int]
"""(top, bottom, left, right)."""


def same_padding(size: int, kernel_size: int, *, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Return how many zeros SAME puts before and behind one axis of `size` pixels.

    outputs = ceil(size / stride)
    total   = max((outputs - 1) * stride + (kernel_size - 1) * dilation + 1 - size, 0)
    before  = floor(total / 2),  behind = total - before
    """
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + (kernel_size - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def same_margins(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> Margins:
    """Return what SAME pads for ceil(size / stride) outputs; odd rests go behind.

    All arguments are (height, width).
    """
    ends: list[int] = []
    for length, extent, step, rate in zip(size, kernel, stride, dilation, strict=True):
        ends += same_padding(length, extent, stride=step, dilation=rate)
    return (ends[0], ends[1], ends[2], ends[3])


def padding_word(graph: Graph, node: Node) -> str | None:
    """Return "VALID" or "SAME" where that says a convolution's or max pool's padding, else None."""
    padding = tuple(node.attrs["padding"])
    if not any(padding):
        return "VALID"
    height, width = graph[node.inputs[0]].shape[2:]
    attrs = node.attrs
    same = same_margins((height, width), _window(graph, node), attrs["stride"], attrs["dilation"])
    return "SAME" if padding == same else None


def _window(graph: Graph, node: Node) -> tuple[int, int]:
    """Return (height, width) of the window of a convolution or pool."""
    if node.op == "conv2d":
        height, width = graph.param(node, "weight").shape[2:]
        return height, width
    kernel: tuple[int, int] = node.attrs["kernel"]
    return kernel


def transposed_padding_word(graph: Graph, node: Node) -> str | None:
    """Return "VALID" or "SAME" where that says a transposed convolution's crop, else None.

    VALID keeps the whole scatter output. SAME crops max(0, (in - 1) * stride + kernel - out) in
    all, half of it (rounded down) at the top and left.
    """
    if not any(node.attrs["padding"]) and not any(node.attrs["output_padding"]):
        return "VALID"
    sizes = graph[node.inputs[0]].shape[2:]
    kernel = graph.param(node, "weight").shape[2:]
    for axis in range(2):
        stride, out = node.attrs["stride"][axis], node.shape[2 + axis]
        if sizes[axis] != -(-out // stride) or kernel[axis] < stride:
            return None
        total = max(0, (sizes[axis] - 1) * stride + kernel[axis] - out)
        if node.attrs["padding"][axis] != total // 2:
            return None
        if (sizes[axis] - 1) * stride + kernel[axis] < out:
            return None
    return "SAME"
