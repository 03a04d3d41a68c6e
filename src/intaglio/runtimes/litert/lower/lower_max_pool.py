"""Max pools in the forms that the runtime's delegate takes: without dilation and gaps."""

from __future__ import annotations

from typing import Any

import torch

from intaglio.ir.edit import insert_before, replace
from intaglio.ir.graph import Graph, Node
from intaglio.ops import OPS
from intaglio.passes.graph_pass import graph_pass
from intaglio.runtimes.litert.lower.depthwise import become_picking

Pair = tuple[int, int]


@graph_pass
def lower_max_pool(graph: Graph) -> int:
    """A max pool with gaps is one without, of which every so many-th value is picked.

    A window of one pixel is only picked. One with dilation d is an ordinary one on each of the
    d * d images of every d-th pixel, which lie side by side as channels.
    """
    changed = 0
    for node in graph:
        if node.op != "max_pool2d" or node.attrs["ceil_mode"]:
            continue
        attrs = node.attrs
        dilated = any(
            rate > 1 and size > 1
            for rate, size in zip(attrs["dilation"], attrs["kernel"], strict=True)
        )
        gaps = any(s > size for s, size in zip(attrs["stride"], attrs["kernel"], strict=True))
        if not dilated and not gaps:
            continue
        if attrs["stride"] != (1, 1):
            _pick_behind(graph, node)
        elif dilated:
            _pool_phases(graph, node)
        changed += 1
    return changed + (lower_max_pool(graph) if changed else 0)


def _pick_behind(graph: Graph, node: Node) -> None:
    """Make a max pool one of stride 1, whose values are picked."""
    attrs = node.attrs
    stride, activation = attrs["stride"], attrs["activation"]
    if attrs["kernel"] != (1, 1) or any(attrs["padding"]):
        whole = {**attrs, "stride": (1, 1)}
        _put_before(graph, node, "max_pool2d", whole, "whole")
        activation = None
    node.attrs = {"activation": activation}
    become_picking(graph, node, stride)


def _pool_phases(graph: Graph, node: Node) -> None:
    """Make a dilated max pool of stride 1 one of each phase, [N, C d_h d_w, H / d_h, W / d_w]."""
    attrs = node.attrs
    height_rate, width_rate = rates = attrs["dilation"]
    top, bottom, left, right = attrs["padding"]
    batch, channels, height, width = graph[node.inputs[0]].shape
    bottom += -(height + top + bottom) % height_rate
    right += -(width + left + right) % width_rate
    if any((top, bottom, left, right)):
        # what fills the last phases is in no window of a value that is kept
        value = float("-inf") if any(attrs["padding"]) else 0.0
        margins = {"padding": (left, right, top, bottom), "value": value}
        _put_before(graph, node, "pad", margins, "pad")
    rows, columns = (height + top + bottom) // height_rate, (width + left + right) // width_rate
    apart = (batch, channels, rows, height_rate, columns, width_rate)
    _put_before(graph, node, "reshape", {"shape": apart}, "apart")
    _put_before(graph, node, "transpose", {"order": (0, 1, 3, 5, 2, 4)}, "phases")
    beside = (batch, channels * height_rate * width_rate, rows, columns)
    _put_before(graph, node, "reshape", {"shape": beside}, "beside")
    pool = {**attrs, "dilation": (1, 1), "padding": (0, 0, 0, 0)}
    pooled = _put_before(graph, node, "max_pool2d", pool, "pooled")
    rows, columns = pooled.shape[2:]
    apart = (batch, channels, height_rate, width_rate, rows, columns)
    _put_before(graph, node, "reshape", {"shape": apart}, "unpooled")
    _put_before(graph, node, "transpose", {"order": (0, 1, 4, 2, 5, 3)}, "woven")
    whole = (batch, channels, rows * height_rate, columns * width_rate)
    _put_before(graph, node, "reshape", {"shape": whole}, "whole")
    _cut(graph, node, rates)


def _cut(graph: Graph, node: Node, rates: Pair) -> None:
    """Make a node the first rows and columns of its input."""
    rows = {"axis": 2, "start": 0, "stop": node.shape[2], "step": 1}
    _put_before(graph, node, "slice", rows, "rows")
    columns = {"axis": 3, "start": 0, "stop": node.shape[3], "step": 1}
    made = Node(node.name, "slice", node.inputs, {}, columns, node.shape, node.source)
    replace(graph, node, made)


def _put_before(graph: Graph, node: Node, op: str, attrs: dict[str, Any], suffix: str) -> Node:
    """Put a node without weights between a node and its input; return it."""
    name = graph.unique_name(f"{node.name}.{suffix}")
    made = Node(name, op, list(node.inputs), {}, attrs, (), node.source)
    shape = graph[node.inputs[0]].shape
    empty = torch.empty((2, *shape[1:]), device="meta")
    made.shape = (shape[0], *OPS[op].function(made, [empty], {}).shape[1:])
    insert_before(graph, node.name, made)
    node.inputs = [name]
    return made
