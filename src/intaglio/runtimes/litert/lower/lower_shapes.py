"""Padding, pooling, resizing and slicing in the forms that the runtime's delegate takes."""

from __future__ import annotations

import torch
from torch import Tensor

from intaglio.ir.edit import insert_before, replace
from intaglio.ir.graph import Graph, Node
from intaglio.ops.convolution import copies_values
from intaglio.ops.resize import follows_sizes
from intaglio.passes.graph_pass import graph_pass
from intaglio.runtimes.litert.lower.bridge import bridge
from intaglio.runtimes.litert.ops.activation import PRESCRIBED

LARGEST_CONCAT = 5
LARGEST_POOL = 64
"""Most elements of a pooling window that is written as a convolution; above it is far too slow."""


@graph_pass
def lower_affine(graph: Graph) -> int:
    """y = g x + b per channel becomes a depthwise 1x1 convolution (a linear layer on [N, C])."""
    changed = 0
    for node in graph:
        if node.op != "affine" or len(node.shape) not in (2, 4):
            continue
        gain = graph.param(node, "weight")
        if len(node.shape) == 4:
            _become_depthwise(graph, node, gain.reshape(-1, 1, 1, 1))
        else:
            node.op = "linear"
            graph.set_param(node, "weight", torch.diag(gain))
        changed += 1
    return changed


@graph_pass
def lower_average_pool(graph: Graph) -> int:
    """Small average pools become depthwise convolutions of weights 1 / n; padding is zeros."""
    changed = 0
    for node in graph:
        if node.op != "avg_pool2d":
            continue
        (kernel_height, kernel_width), attrs = node.attrs["kernel"], node.attrs
        count = kernel_height * kernel_width
        if attrs["ceil_mode"] and not _rounds_up(graph, node):
            attrs["ceil_mode"] = False
        if any(attrs["padding"]) and not attrs["count_include_pad"]:
            continue
        if attrs["ceil_mode"] or count > LARGEST_POOL:
            continue
        height, width = attrs["padding"]
        value = 1.0 / (attrs["divisor"] or count)
        weight = torch.full((node.channels, 1, kernel_height, kernel_width), value)
        padding = (height, height, width, width)
        _become_depthwise(graph, node, weight, stride=attrs["stride"], padding=padding)
        changed += 1
    return changed


def _rounds_up(graph: Graph, node: Node) -> bool:
    """Whether ceil_mode makes a window that reaches beyond the padded input."""
    attrs, sizes = node.attrs, graph[node.inputs[0]].shape[2:]
    for axis in range(2):
        reached = (node.shape[2 + axis] - 1) * attrs["stride"][axis] + attrs["kernel"][axis]
        if reached > sizes[axis] + 2 * attrs["padding"][axis]:
            return True
    return False


def _become_depthwise(
    graph: Graph,
    node: Node,
    weight: Tensor,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> None:
    activation = node.attrs.get("activation")
    node.op = "conv2d"
    node.attrs = {
        "stride": stride,
        "padding": padding,
        "dilation": (1, 1),
        "groups": weight.shape[0],
        "activation": activation,
    }
    graph.set_param(node, "weight", weight)


@graph_pass
def lower_nearest(graph: Graph) -> int:
    """Nearest-neighbour resizing by 2 (4, 8, ...) becomes four copies and DEPTH_TO_SPACE."""
    changed = 0
    for node in graph:
        if node.op != "resize" or node.attrs["mode"] != "nearest":
            continue
        height, width = graph[node.inputs[0]].shape[2:]
        factor = node.shape[2] // height
        if node.shape[2:] != (height * factor, width * factor):
            continue
        if factor < 2 or factor & (factor - 1):
            continue
        if not follows_sizes(node, graph[node.inputs[0]].shape):
            continue
        x = node.inputs[0]
        while factor > 2:
            x = _double(graph, node, x)
            factor //= 2
        _double(graph, node, x, last=True)
        changed += 1
    return changed


def _double(graph: Graph, node: Node, x: str, *, last: bool = False) -> str:
    batch, channels, height, width = graph[x].shape
    copies = Node(
        graph.unique_name(f"{node.name}.copies"),
        "concat",
        [x] * 4,
        {},
        {"axis": 1},
        (batch, 4 * channels, height, width),
        node.source,
    )
    insert_before(graph, node.name, copies)
    shape = (batch, channels, 2 * height, 2 * width)
    doubled = Node(node.name, "depth_to_space", [copies.name], {}, {"block": 2}, shape, node.source)
    if last:
        return replace(graph, node, doubled).name
    doubled.name = graph.unique_name(f"{node.name}.doubled")
    return insert_before(graph, node.name, doubled).name


@graph_pass
def lower_strided_slice(graph: Graph) -> int:
    """Every second row or column becomes a depthwise 1x1 convolution with stride and weights 1."""
    changed = 0
    for node in graph:
        attrs = node.attrs
        if node.op != "slice" or attrs["step"] == 1 or len(node.shape) != 4 or attrs["axis"] < 2:
            continue
        if attrs["start"] != 0 or -(-attrs["stop"] // attrs["step"]) != node.shape[attrs["axis"]]:
            continue
        size = graph[node.inputs[0]].shape[attrs["axis"]]
        if -(-size // attrs["step"]) != node.shape[attrs["axis"]]:
            continue
        stride = (attrs["step"], 1) if attrs["axis"] == 2 else (1, attrs["step"])
        _become_depthwise(graph, node, torch.ones(node.channels, 1, 1, 1), stride=stride)
        changed += 1
    return changed + merge_strides(graph)


@graph_pass
def merge_strides(graph: Graph) -> int:
    """Two picking convolutions in a row, one along each axis, become one."""
    merged = 0
    for node in graph:
        first = graph[node.inputs[0]] if node.inputs else None
        if first is None or not (_picks_pixels(graph, node) and _picks_pixels(graph, first)):
            continue
        if graph.only_reader(first.name) is not node:
            continue
        strides = first.attrs["stride"], node.attrs["stride"]
        node.attrs["stride"] = (strides[0][0] * strides[1][0], strides[0][1] * strides[1][1])
        node.inputs = list(first.inputs)
        merged += 1
    graph.drop_unused()
    return merged


def _picks_pixels(graph: Graph, node: Node) -> bool:
    """Whether a convolution only picks pixels: each channel of its own, and no padding."""
    if not copies_values(graph, node) or any(node.attrs["padding"]):
        return False
    return bool(graph[node.inputs[0]].channels == node.channels == node.attrs["groups"])


@graph_pass
def split_concat(graph: Graph) -> int:
    """A concatenation of more inputs than the delegate takes becomes a tree of smaller ones."""
    changed = 0
    for node in graph:
        while node.op == "concat" and len(node.inputs) > LARGEST_CONCAT:
            parts, axis = node.inputs[:LARGEST_CONCAT], node.attrs["axis"]
            shape = list(graph[parts[0]].shape)
            shape[axis] = sum(graph[part].shape[axis] for part in parts)
            name = graph.unique_name(f"{node.name}.part")
            part = Node(name, "concat", parts, {}, {"axis": axis}, tuple(shape), node.source)
            insert_before(graph, node.name, part)
            node.inputs = [name, *node.inputs[LARGEST_CONCAT:]]
            changed += 1
    return changed


@graph_pass
def separate_grids(graph: Graph) -> int:
    """Put a requantizing `clamp` where a prescribed grid (sigmoid, tanh) meets a sharing op."""
    return sum(bridge(graph, node) for node in graph if node.op in PRESCRIBED)
