"""Part of a picture through part of a network: what each value must be known at, and how to run it.

A window of a block's result is computed from windows of its inputs, larger by what its kernels
reach over. Where they reach beyond the picture there are zeros, as in the whole picture: the result
is that of the whole picture at these positions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch.nn.functional as F
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.ops import OPS
from intaglio.ops.schema import bare
from intaglio.ops.traits import ELEMENTWISE
from intaglio.run.partial import Route

Parameters = Callable[[Node], Mapping[str, Tensor]]
Finish = Callable[[Node, Tensor], Tensor]
"""Called with a node and its value before its activation; returns the value to go on with."""


@dataclass(frozen=True)
class Box:
    """Positions top <= row < bottom, left <= column < right; they may lie outside the picture."""

    top: int
    left: int
    bottom: int
    right: int

    def within(self, height: int, width: int) -> Box:
        """Return the part that lies in a picture."""
        return Box(
            max(self.top, 0), max(self.left, 0), min(self.bottom, height), min(self.right, width)
        )

    def joined(self, other: Box) -> Box:
        """Return the smallest box around both."""
        return Box(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def cut(self, picture: Tensor) -> Tensor:
        """Return a view of [N, C, H, W] at the box, which lies within it."""
        return picture[:, :, self.top : self.bottom, self.left : self.right]


def is_local(graph: Graph, node: Node) -> bool:
    """Whether a window of the node's result needs no more than a window of its inputs."""
    if len(node.shape) != 4:
        return False
    if node.op == "conv2d":
        return True
    if node.op == "pad":
        return float(node.attrs["value"]) == 0.0
    sizes = {
        graph[name].shape[2:] if len(graph[name].shape) == 4 else None
        for name in node.inputs
        if graph[name].op != "constant"
    }
    return node.op in ELEMENTWISE and sizes == {node.shape[2:]}


def boxes_for(graph: Graph, names: Sequence[str], output: str, box: Box) -> dict[str, Box]:
    """Return where each value of a block, and of its inputs, is needed for a window of its result.

    Args:
        names: The block's nodes, in order; each is local.
        output: The value whose window is wanted.
        box: The window, within the picture.

    Returns:
        Boxes within each value's picture.
    """
    found = {output: box}
    for name in reversed(names):
        if name not in found:
            continue
        node = graph[name]
        for source in node.inputs:
            if graph[source].op == "constant":
                continue
            needed = read_box(graph, node, found[name]).within(*graph[source].shape[2:])
            found[source] = found[source].joined(needed) if source in found else needed
    return found


def read_box(graph: Graph, node: Node, box: Box) -> Box:
    """Return which positions of its input a window of a node's result is made from."""
    if node.op == "conv2d":
        kernel = graph.param(node, "weight").shape[2:]
        stride, dilation = node.attrs["stride"], node.attrs["dilation"]
        top, _, left, _ = node.attrs["padding"]
        reach = [(size - 1) * gap + 1 for size, gap in zip(kernel, dilation, strict=True)]
        return Box(
            box.top * stride[0] - top,
            box.left * stride[1] - left,
            (box.bottom - 1) * stride[0] - top + reach[0],
            (box.right - 1) * stride[1] - left + reach[1],
        )
    if node.op == "pad":
        left, _, top, _ = [*node.attrs["padding"], 0, 0, 0, 0][:4]
        return Box(box.top - top, box.left - left, box.bottom - top, box.right - left)
    return box


def run_window(
    graph: Graph,
    names: Sequence[str],
    given: Mapping[str, Tensor],
    boxes: Mapping[str, Box],
    *,
    parameters: Parameters,
    finish: Finish,
) -> Tensor:
    """Return the value of the last of `names`, computed in real numbers.

    Args:
        names: The block's nodes, in order.
        given: Its inputs and constants, cut to their boxes.
        boxes: Where each value is needed; empty: everything, for blocks with nodes that are not
            local.
        parameters: Weights of a node by role.
        finish: Applies activation and grid.
    """

    def step(node: Node, inputs: Sequence[Tensor]) -> Tensor:
        """Return the node's value where it is needed, `finish` applied."""
        plain = _plain(node)
        if boxes:
            placed = [
                _placed(graph, node, source, value, boxes)
                for source, value in zip(node.inputs, inputs, strict=True)
            ]
            return finish(node, _run_placed(plain, placed, parameters(node)))
        return finish(node, OPS[node.op].function(plain, inputs, parameters(node)))

    route = Route.through([graph[name] for name in names], names[-1:])
    return route.run(given, step)[names[-1]]


def _plain(node: Node) -> Node:
    """Return the node without its activation, which `finish` applies."""
    return node if node.op == "clamp" else bare(node)


def _placed(
    graph: Graph, node: Node, source: str, value: Tensor, boxes: Mapping[str, Box]
) -> Tensor:
    """Return the window of an input that the node reads, with zeros beyond the picture."""
    if graph[source].op == "constant":
        return value
    have, needed = boxes[source], read_box(graph, node, boxes[node.name])
    inner = needed.within(*graph[source].shape[2:])
    if inner != have:
        moved = Box(
            inner.top - have.top,
            inner.left - have.left,
            inner.bottom - have.top,
            inner.right - have.left,
        )
        value = moved.cut(value)
    if inner == needed:
        return value
    beyond = (
        inner.left - needed.left,
        needed.right - inner.right,
        inner.top - needed.top,
        needed.bottom - inner.bottom,
    )
    return F.pad(value, beyond)


def _run_placed(node: Node, inputs: list[Tensor], params: Mapping[str, Tensor]) -> Tensor:
    """Run a node whose spatial padding is in its inputs already."""
    if node.op == "conv2d":
        node = replace(node, attrs={**node.attrs, "padding": (0, 0, 0, 0)})
    elif node.op == "pad":
        padding = (0, 0, 0, 0, *list(node.attrs["padding"])[4:])
        node = replace(node, attrs={**node.attrs, "padding": padding})
    return OPS[node.op].function(node, inputs, params)
