"""Affines, strided slices and concatenations in the forms that the runtime's delegate takes."""

from __future__ import annotations

import torch

from intaglio.ir.edit import insert_before
from intaglio.ir.graph import Graph, Node
from intaglio.ops.convolution import copies_values
from intaglio.passes.graph_pass import graph_pass
from intaglio.runtimes.litert.lower.bridge import bridge
from intaglio.runtimes.litert.lower.depthwise import become_depthwise, become_picking
from intaglio.runtimes.litert.ops.activation import PRESCRIBED

LARGEST_CONCAT = 5


@graph_pass
def lower_affine(graph: Graph) -> int:
    """y = g x + b per channel becomes a depthwise 1x1 convolution (a linear layer on [N, C])."""
    changed = 0
    for node in graph:
        if node.op != "affine" or len(node.shape) not in (2, 4):
            continue
        gain = graph.param(node, "weight")
        if len(node.shape) == 4:
            become_depthwise(graph, node, gain.reshape(-1, 1, 1, 1))
        else:
            node.op = "linear"
            graph.set_param(node, "weight", torch.diag(gain))
        changed += 1
    return changed


@graph_pass
def lower_strided_slice(graph: Graph) -> int:
    """Every second row or column becomes a depthwise 1x1 convolution with stride and weights 1.

    What lies before the first one, and behind the last, is cut off beforehand.
    """
    changed = 0
    for node in graph:
        attrs = node.attrs
        if node.op != "slice" or attrs["step"] == 1 or len(node.shape) != 4 or attrs["axis"] < 2:
            continue
        axis, step, start = attrs["axis"], attrs["step"], attrs["start"]
        size = graph[node.inputs[0]].shape[axis]
        if start or -(-size // step) != node.shape[axis]:
            cut = {**attrs, "step": 1}
            cut["stop"] = min(attrs["stop"], start + node.shape[axis] * step)
            shape = list(graph[node.inputs[0]].shape)
            shape[axis] = cut["stop"] - start
            name = graph.unique_name(f"{node.name}.cut")
            made = Node(name, "slice", node.inputs, {}, cut, tuple(shape), node.source)
            insert_before(graph, node.name, made)
            node.inputs = [name]
        become_picking(graph, node, (step, 1) if axis == 2 else (1, step))
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
