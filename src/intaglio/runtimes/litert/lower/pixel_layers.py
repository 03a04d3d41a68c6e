"""Pictures of other sizes as linear layers over pixels: what no other op of the delegate says.

Every result is a weighted sum of pixels, the same for all channels. One layer computes it over all
pixels where its weight is small; else one over columns and one over rows.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.ir.edit import insert_before
from intaglio.ir.graph import Graph, Node
from intaglio.ops.resize import follows_sizes
from intaglio.passes.graph_pass import graph_pass
from intaglio.runtimes.litert.ops.resize import reference_taps, taps_agree

LARGEST_MATRIX = 2**16
"""Most weights of a layer over all pixels."""


@graph_pass
def lower_adaptive_pool(graph: Graph) -> int:
    """Adaptive average pools of uneven windows become linear layers over pixels."""
    changed = 0
    for node in graph:
        if node.op != "adaptive_avg_pool2d":
            continue
        height, width = graph[node.inputs[0]].shape[2:]
        rows, columns = _window_means(height, node.shape[2]), _window_means(width, node.shape[3])
        _become_layers(graph, node, rows, columns)
        changed += 1
    return changed


def _window_means(size: int, out: int) -> Tensor:
    """Return the [out, size] matrix whose rows take torch's adaptive windows' means."""
    matrix = torch.zeros(out, size)
    for index in range(out):
        start, stop = index * size // out, -(-(index + 1) * size // out)
        matrix[index, start:stop] = 1.0 / (stop - start)
    return matrix


@graph_pass
def lower_resize(graph: Graph) -> int:
    """Resizes that no kernel does alike on all processors become linear layers over pixels.

    They are those to sizes that do not follow from the factors that the user gave, and bilinear
    ones between sizes for which ARM computes other weights, or the reference kernel reads too far.
    """
    changed = 0
    for node in graph:
        if node.op != "resize" or _is_held(graph, node):
            continue
        sizes = graph[node.inputs[0]].shape[2:]
        _become_layers(
            graph, node, *(_weights(node, size, axis) for axis, size in enumerate(sizes))
        )
        changed += 1
    return changed


def _is_held(graph: Graph, node: Node) -> bool:
    shape, align = graph[node.inputs[0]].shape, bool(node.attrs["align_corners"])
    if not follows_sizes(node, shape):
        return False
    if node.attrs["mode"] == "nearest":
        return True
    return all(
        taps_agree(size, out, align) and int(reference_taps(size, out, align).first.max()) < size
        for size, out in zip(shape[2:], node.shape[2:], strict=True)
    )


def _weights(node: Node, size: int, axis: int) -> Tensor:
    """Return the [out, size] matrix with which torch resizes one axis (0: height)."""
    pixels = torch.eye(size).reshape(1, size, size, 1)
    settings: dict[str, Any] = {"mode": node.attrs["mode"]}
    if node.attrs["mode"] == "bilinear":
        settings["align_corners"] = node.attrs["align_corners"]
    if node.attrs["scales"] is None:
        settings["size"] = (node.shape[2 + axis], 1)
    else:
        settings["scale_factor"] = (node.attrs["scales"][axis], 1.0)
    return F.interpolate(pixels, **settings)[0, :, :, 0].T.contiguous()


def _become_layers(graph: Graph, node: Node, rows: Tensor, columns: Tensor) -> None:
    """Make a node rows [H', H] times its input's pixels [H, W] times columns [W', W] turned."""
    if rows.numel() * columns.numel() <= LARGEST_MATRIX:
        batch, channels, height, width = graph[node.inputs[0]].shape
        flat = (batch, channels, height * width)
        put_before(graph, node, "reshape", {"shape": flat}, flat, "pixels")
        _put_linear(graph, node, torch.kron(rows, columns))
        node.op, node.attrs = "reshape", {"shape": node.shape}
        return
    for matrix in (columns, rows):
        _put_layer_over_last(graph, node, matrix)
        batch, channels, height, width = graph[node.inputs[0]].shape
        turned = (batch, channels, width, height)
        put_before(graph, node, "transpose", {"order": (0, 1, 3, 2)}, turned, "turned")
    last = graph[node.inputs[0]]
    node.op, node.attrs, node.inputs = last.op, dict(last.attrs), list(last.inputs)
    del graph.nodes[last.name]


def _put_layer_over_last(graph: Graph, node: Node, matrix: Tensor) -> None:
    """Put a linear layer over the last of four axes before a node; the file has them over three."""
    batch, channels, height, width = graph[node.inputs[0]].shape
    flat = (batch, channels * height, width)
    put_before(graph, node, "reshape", {"shape": flat}, flat, "lines")
    _put_linear(graph, node, matrix)
    shape = (batch, channels, height, matrix.shape[0])
    put_before(graph, node, "reshape", {"shape": shape}, shape, "picture")


def _put_linear(graph: Graph, node: Node, weight: Tensor) -> None:
    shape = (*graph[node.inputs[0]].shape[:-1], weight.shape[0])
    made = put_before(graph, node, "linear", {"activation": None}, shape, "sums")
    graph.set_param(made, "weight", weight)


def put_before(
    graph: Graph,
    node: Node,
    op: str,
    attrs: dict[str, Any],
    shape: tuple[int, ...],
    suffix: str,
) -> Node:
    """Put a node between a node and its input; return it."""
    name = graph.unique_name(f"{node.name}.{suffix}")
    made = Node(name, op, list(node.inputs), {}, attrs, shape, node.source)
    insert_before(graph, node.name, made)
    node.inputs = [name]
    return made
