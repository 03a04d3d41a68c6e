"""Nearest-neighbour resizing in the forms that the runtime's delegate takes."""

from __future__ import annotations

from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.ir.edit import insert_before, replace
from intaglio.ir.graph import Graph, Node
from intaglio.passes.graph_pass import graph_pass
from intaglio.runtimes.litert.lower.depthwise import Pair, become_picking

LARGEST_FACTOR = 16
"""Of an integer enlargement: beyond it the built-in kernel is left to do it."""
LARGEST_DETOUR = 4
"""Of an enlargement of which pixels are then picked: most of what is computed is thrown away."""


@graph_pass
def lower_nearest(graph: Graph) -> int:
    """Nearest resizing becomes copies side by side, of which every so many-th pixel is picked.

    Both sides times the same power of two are doubled, by copies as channels and DEPTH_TO_SPACE.
    Other factors up / down repeat each row, and each column, `up` times, and pick from them.
    """
    changed = 0
    for node in graph:
        if node.op != "resize" or node.attrs["mode"] != "nearest":
            continue
        ups, downs = _factors(graph, node)
        largest = LARGEST_FACTOR if downs == (1, 1) else LARGEST_DETOUR
        if max(ups) > largest or not _picks(graph, node, ups, downs):
            continue
        x = node.inputs[0]
        if downs != (1, 1):
            if ups != (1, 1):
                x = _repeat(graph, node, x, ups)
            node.inputs, node.attrs = [x], {}
            become_picking(graph, node, downs)
        elif ups[0] == ups[1] and not ups[0] & (ups[0] - 1):
            for _ in range(ups[0].bit_length() - 2):
                x = _double(graph, node, x)
            _double(graph, node, x, last=True)
        else:
            _repeat(graph, node, x, ups, last=True)
        changed += 1
    return changed


def _factors(graph: Graph, node: Node) -> tuple[Pair, Pair]:
    """Return (up, down) of height and width, each pair without a common factor."""
    before, after = graph[node.inputs[0]].shape[2:], node.shape[2:]
    height, width = (Fraction(out, size) for size, out in zip(before, after, strict=True))
    return (height.numerator, width.numerator), (height.denominator, width.denominator)


def _picks(graph: Graph, node: Node, ups: Pair, downs: Pair) -> bool:
    """Whether torch, which may compute places from a factor that the user gave, reads the same."""
    height, width = graph[node.inputs[0]].shape[2:]
    rows = (
        torch.arange(height, dtype=torch.float32).reshape(1, 1, -1, 1).expand(1, 1, height, width)
    )
    columns = torch.arange(width, dtype=torch.float32).expand(1, 1, height, width)
    found = _resized(node, torch.cat([rows, columns], 1))
    wanted = [
        (torch.arange(node.shape[2 + axis]) * downs[axis] // ups[axis]).float() for axis in range(2)
    ]
    return torch.equal(found[0, 0, :, 0], wanted[0]) and torch.equal(found[0, 1, 0], wanted[1])


def _resized(node: Node, places: Tensor) -> Tensor:
    scales = node.attrs["scales"]
    if scales is None:
        return F.interpolate(places, node.shape[2:], mode="nearest")
    return F.interpolate(places, scale_factor=scales, mode="nearest")


def _double(graph: Graph, node: Node, x: str, *, last: bool = False) -> str:
    batch, channels, height, width = graph[x].shape
    copies = _copies(graph, node, x, 4, axis=1)
    shape = (batch, channels, 2 * height, 2 * width)
    doubled = Node(node.name, "depth_to_space", [copies], {}, {"block": 2}, shape, node.source)
    if last:
        return replace(graph, node, doubled).name
    doubled.name = graph.unique_name(f"{node.name}.doubled")
    return insert_before(graph, node.name, doubled).name


def _copies(graph: Graph, node: Node, x: str, count: int, *, axis: int) -> str:
    """Return `count` times the same value along an axis."""
    shape = list(graph[x].shape)
    shape[axis] *= count
    name = graph.unique_name(f"{node.name}.copies")
    made = Node(name, "concat", [x] * count, {}, {"axis": axis}, tuple(shape), node.source)
    return insert_before(graph, node.name, made).name


def _repeat(graph: Graph, node: Node, x: str, ups: Pair, *, last: bool = False) -> str:
    """Repeat rows and columns: channels last, only the shape changes between concatenations."""
    batch, channels, height, width = graph[x].shape
    if ups[1] > 1:
        x = _reshaped(graph, node, x, (batch, channels, height * width, 1))
        x = _copies(graph, node, x, ups[1], axis=3)
        width *= ups[1]
        if ups[0] > 1:
            x = _reshaped(graph, node, x, (batch, channels, height, width))
    if ups[0] > 1:
        x = _copies(graph, node, x, ups[0], axis=3)
        height *= ups[0]
    shape = (batch, channels, height, width)
    if not last:
        return _reshaped(graph, node, x, shape)
    made = Node(node.name, "reshape", [x], {}, {"shape": shape}, shape, node.source)
    return replace(graph, node, made).name


def _reshaped(graph: Graph, node: Node, x: str, shape: tuple[int, ...]) -> str:
    name = graph.unique_name(f"{node.name}.reshaped")
    made = Node(name, "reshape", [x], {}, {"shape": shape}, shape, node.source)
    return insert_before(graph, node.name, made).name
