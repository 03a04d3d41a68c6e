"""Which ops keep channels apart: channel i of their value comes from channel i of their input."""

from __future__ import annotations

from collections.abc import Callable

from intaglio.ir.graph import Graph, Node
from intaglio.ops.convolution import copies_values
from intaglio.ops.traits import TRAITS, commutes_with_scale


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
    if node.attrs.get("activation") is not None or not _keeps_channels(graph, node):
        return False
    if node.op == "conv2d":
        return copies_values(graph, node) and not any(node.attrs["padding"])
    if node.op == "avg_pool2d":
        is_whole = not any(node.attrs["padding"]) or not node.attrs["count_include_pad"]
        return is_whole and node.attrs["divisor"] is None
    return TRAITS[node.op].values in ("moved", "mean") and node.op != "pad"


def scales_along(graph: Graph, node: Node) -> bool:
    """Whether, channel by channel, f(c x) = c f(x) for c > 0, and the node has one input."""
    return len(node.inputs) == 1 and commutes_with_scale(node) and _keeps_channels(graph, node)


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
    """Whether channel i of a node's value is made of channel i of its input alone.

    Of convolutions it is said only of those that are no layers.
    """
    coupling = TRAITS[node.op].channels
    if coupling == "axes":
        return BY_AXES[node.op](graph, node)
    return coupling == "apart" or averages(graph, node)


def _keeps_leading_axes(graph: Graph, node: Node) -> bool:
    before = graph[node.inputs[0]].shape
    return before[:2] == node.shape[:2] and len(before) >= 2


BY_AXES: dict[str, Callable[[Graph, Node], bool]] = {
    "concat": lambda graph, node: bool(node.attrs["axis"] >= 2),
    "mean": lambda graph, node: set(node.attrs["axes"]) <= {2, 3},
    "reduce_max": lambda graph, node: set(node.attrs["axes"]) <= {2, 3},
    "take": lambda graph, node: bool(node.attrs["axis"] >= 2),
    "pad": lambda graph, node: not any(node.attrs["padding"][4:]),
    "reshape": _keeps_leading_axes,
    "slice": lambda graph, node: bool(node.attrs["axis"] >= 2),
}
"""Ops of which the axes that they name tell whether channels stay apart."""
