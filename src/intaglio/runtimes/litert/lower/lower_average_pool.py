"""Average pools in an op that the runtime's delegate takes: depthwise convolutions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from intaglio.ir.edit import insert_before, replace
from intaglio.ir.graph import Graph, Node
from intaglio.ops import OPS
from intaglio.passes.graph_pass import graph_pass
from intaglio.runtimes.litert.lower.depthwise import Margins, become_depthwise
from intaglio.runtimes.litert.lower.pixel_layers import put_before

LARGEST_POOL = 64
"""Most elements of a pooling window that is written as a convolution; above it is far too slow."""
SAME = 1e-9
"""How far apart float64 factors may be that are equal but for rounding."""


@graph_pass
def lower_average_pool(graph: Graph) -> int:
    """Average pools become depthwise convolutions of equal weights; padding is zeros.

    Where windows have not all the same divisor (padding that is not counted, windows that reach
    past the end), each result is then multiplied with a constant of its place. A large window is
    left to the built-in kernel where it is whole, and becomes two convolutions else.
    """
    changed = 0
    for node in graph:
        if node.op != "avg_pool2d":
            continue
        count, shares = math.prod(node.attrs["kernel"]), _shares(graph, node)
        margins = _margins(graph, node)
        is_even = float(shares.max() - shares.min()) <= SAME * float(shares.max())
        if count > LARGEST_POOL and is_even and not any(margins):
            changed += _without_divisor(graph, node, float(shares.max()) * count)
            continue
        if max(node.attrs["kernel"]) > LARGEST_POOL:
            continue  # for the writer to refuse
        pool = node if is_even else _weigh_places(graph, node, shares * count)
        _convolve(graph, pool, float(shares.max()) if is_even else 1.0 / count, margins)
        changed += 1
    return changed


def _shares(graph: Graph, node: Node) -> Tensor:
    """Return what each value of a window counts for, float64 [1, 1, H_out, W_out]."""
    ones = torch.ones(1, 1, *graph[node.inputs[0]].shape[2:], dtype=torch.float64)
    function = OPS[node.op].function
    summing = Node(node.name, node.op, attrs={**node.attrs, "divisor": 1})
    return function(node, [ones], {}) / function(summing, [ones], {})


def _margins(graph: Graph, node: Node) -> Margins:
    """Return padding with which all windows are whole: more at the end where ceil_mode asks it."""
    sizes, attrs, ends = graph[node.inputs[0]].shape[2:], node.attrs, []
    for axis in range(2):
        start = attrs["padding"][axis]
        reached = (node.shape[2 + axis] - 1) * attrs["stride"][axis] + attrs["kernel"][axis]
        ends += [start, max(start, reached - sizes[axis] - start)]
    return (ends[0], ends[1], ends[2], ends[3])


def _without_divisor(graph: Graph, node: Node, factor: float) -> int:
    """Make a pool of large whole windows a plain one, and multiply what comes of it."""
    changed = node.attrs["ceil_mode"] or node.attrs["divisor"] is not None
    node.attrs.update(ceil_mode=False, divisor=None, count_include_pad=True)
    if abs(factor - 1.0) > SAME:
        attrs = dict(node.attrs)
        put_before(graph, node, "avg_pool2d", attrs, node.shape, "plain")
        scaled = {"factor": factor}
        made = Node(node.name, "rescale", node.inputs, {}, scaled, node.shape, node.source)
        replace(graph, node, made)
    return int(changed)


def _weigh_places(graph: Graph, node: Node, factors: Tensor) -> Node:
    """Make a node the product of a pool with a number per place; return the pool."""
    pool = put_before(graph, node, "avg_pool2d", dict(node.attrs), node.shape, "whole")
    name = graph.unique_name(f"{node.name}.places")
    constant = Node(name, "constant", shape=tuple(factors.shape), source=node.source)
    insert_before(graph, node.name, constant)
    graph.set_param(constant, "value", factors.to(torch.float32))
    inputs, attrs = [pool.name, name], {"activation": None}
    replace(graph, node, Node(node.name, "mul", inputs, {}, attrs, node.shape, node.source))
    return pool


def _convolve(graph: Graph, pool: Node, share: float, margins: Margins) -> None:
    """Make a pool one convolution, or one along each axis where its windows are large."""
    (height, width), stride = pool.attrs["kernel"], pool.attrs["stride"]
    if height * width > LARGEST_POOL:
        shape = (*pool.shape[:3], graph[pool.inputs[0]].shape[3])
        rows = put_before(graph, pool, "avg_pool2d", {}, shape, "rows")
        weight = torch.full((pool.channels, 1, height, 1), 1.0 / height)
        padding = (margins[0], margins[1], 0, 0)
        become_depthwise(graph, rows, weight, stride=(stride[0], 1), padding=padding)
        share, height, stride = share * height, 1, (1, stride[1])
        margins = (0, 0, margins[2], margins[3])
    weight = torch.full((pool.channels, 1, height, width), share)
    become_depthwise(graph, pool, weight, stride=stride, padding=margins)
