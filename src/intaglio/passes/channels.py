"""Which ops keep channels apart: channel i of their value comes from channel i of their input."""

from __future__ import annotations

from collections.abc import Callable

from intaglio.ir.graph import Graph, Node
from intaglio.ops.moving import copies_values

INFINITE = float("inf")


def reads_channels(graph: Graph, node: Node) -> bool:
    """Whether a node is a layer whose weight has one column for each channel of its input.

    These are convolutions, and linear layers on [N, C]; not the depthwise convolutions that only
    move or average values (`averages`).
    """
    if node.op == "linear":
        return len(node.shape) == 2
    return node.op == "conv2d" and not averages(graph, node)


def averages(graph: Graph, node: Node) -> bool:
    """Whether a node is a depthwise convolution with one weight throughout and no bias.

    That is how average pools and strides are written for some targets; rewriting its weight would
    make a real layer of it.
    """
    if node.op != "conv2d" or "bias" in node.params or node.attrs["groups"] != node.channels:
        return False
    weight = graph.param(node, "weight")
    return weight.shape[1] == 1 and bool((weight == weight.flatten()[0]).all())


def keeps_constants(graph: Graph, node: Node) -> bool:
    """Whether, channel by channel, f(c) = c and f(x + c) = f(x) + c and f(c x) = c f(x) for c > 0.

    True of means, unpadded pools, resizing, and of what only moves values.
    """
    if node.op in ("conv2d", "pad"):
        is_depthwise = node.op == "conv2d" and node.attrs["groups"] == node.channels
        return is_depthwise and copies_values(graph, node) and not any(node.attrs["padding"])
    if node.op == "avg_pool2d":
        is_whole = not any(node.attrs["padding"]) or not node.attrs["count_include_pad"]
        return is_whole and node.attrs["divisor"] is None
    if node.op == "max_pool2d":
        return node.attrs["activation"] is None
    return _keeps_channels(graph, node)


def scales_along(graph: Graph, node: Node) -> bool:
    """Whether, channel by channel, f(c x) = c f(x) for c > 0, and the node has one input."""
    if node.op == "pad":
        return node.attrs["value"] == 0.0 and not any(node.attrs["padding"][4:])
    if node.op in ("max_pool2d", "clamp"):
        return is_homogeneous(node.attrs["activation"])
    if node.op in ("avg_pool2d", "leaky_relu", "rescale"):
        return True
    if node.op == "conv2d":
        return averages(graph, node) and is_homogeneous(node.attrs["activation"])
    return _keeps_channels(graph, node)


def is_homogeneous(activation: tuple[float, float] | None) -> bool:
    """Whether clamp(c x) = c clamp(x) for every c > 0: each bound is 0 or infinite."""
    if activation is None:
        return True
    low, high = activation
    return low in (0.0, -INFINITE) and high in (0.0, INFINITE) and low <= high


def layers_behind(
    graph: Graph, value: str, passes: Callable[[Graph, Node], bool]
) -> list[Node] | None:
    """Return the layers that read a value's channels, directly or behind nodes that pass them on.

    None where the value, or what is passed on, is an output or has another kind of reader.
    """
    found: list[Node] = []
    values = [value]
    for name in values:
        if name in graph.outputs:
            return None
        for reader in graph.readers(name):
            if reads_channels(graph, reader):
                found.append(reader)
            elif len(reader.inputs) == 1 and passes(graph, reader):
                values.append(reader.name)
            else:
                return None
    return found


def _keeps_channels(graph: Graph, node: Node) -> bool:
    if node.op == "mean":
        return set(node.attrs["axes"]) <= {2, 3}
    if node.op == "slice":
        return bool(node.attrs["axis"] >= 2)
    if node.op == "reshape":
        before = graph[node.inputs[0]].shape
        return before[:2] == node.shape[:2] and len(before) >= 2
    return node.op in ("adaptive_avg_pool2d", "resize")
