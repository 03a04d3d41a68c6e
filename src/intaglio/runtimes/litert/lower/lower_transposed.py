"""Transposed convolutions as TRANSPOSE_CONV can say them: one group, no dilation, SAME or VALID."""

from __future__ import annotations

import torch

from intaglio.ir.edit import insert_before, replace
from intaglio.ir.graph import Graph, Node
from intaglio.ops.padding import transposed_padding_word
from intaglio.passes.graph_pass import graph_pass


@graph_pass
def crop_transposed(graph: Graph) -> int:
    """Widen grouped transposed convolutions to one group; crop with slices what SAME cannot say.

    The widened weight has zeros between groups: the same function, at the cost of a dense one. So
    has a dilated one zeros between its places, and one whose output_padding reaches beyond what it
    scatters zeros behind them.
    """
    changed = 0
    for node in graph:
        if node.op != "conv_transpose2d":
            continue
        if node.attrs["groups"] > 1:
            _widen(graph, node)
            changed += 1
        changed += _spread(graph, node)
        if transposed_padding_word(graph, node) is None:
            changed += _crop(graph, node)
    return changed


def _widen(graph: Graph, node: Node) -> None:
    weight = graph.param(node, "weight")  # [C_in, C_out / groups, kH, kW]
    groups = node.attrs["groups"]
    blocks = weight.reshape(groups, -1, *weight.shape[1:])
    c_in, c_out = blocks.shape[1:3]
    wide = torch.zeros(groups * c_in, groups * c_out, *weight.shape[2:])
    for index in range(groups):
        rows = slice(index * c_in, (index + 1) * c_in)
        wide[rows, index * c_out : (index + 1) * c_out] = blocks[index]
    graph.set_param(node, "weight", wide)
    node.attrs["groups"] = 1


def _spread(graph: Graph, node: Node) -> int:
    """Write dilation, and what the output has beyond the scatter's, as zeros of the weight."""
    weight, attrs = graph.param(node, "weight"), node.attrs
    places: list[slice] = []
    extents, left = [], []
    for axis in range(2):
        step, size = attrs["dilation"][axis], graph[node.inputs[0]].shape[2 + axis]
        reach = (weight.shape[2 + axis] - 1) * step + 1
        stop = attrs["padding"][axis] + node.shape[2 + axis]
        beyond = max(stop - (size - 1) * attrs["stride"][axis] - reach, 0)
        places.append(slice(0, reach, step))
        extents.append(reach + beyond)
        left.append(attrs["output_padding"][axis] - beyond)
    if tuple(extents) == tuple(weight.shape[2:]):
        return 0
    wide = torch.zeros(*weight.shape[:2], *extents)
    wide[:, :, places[0], places[1]] = weight
    graph.set_param(node, "weight", wide)
    attrs["dilation"], attrs["output_padding"] = (1, 1), (left[0], left[1])
    return 1


def _crop(graph: Graph, node: Node) -> int:
    sizes = graph[node.inputs[0]].shape[2:]
    kernel = graph.param(node, "weight").shape[2:]
    attrs = node.attrs
    full = tuple(
        (size - 1) * stride + extent
        for size, stride, extent in zip(sizes, attrs["stride"], kernel, strict=True)
    )
    starts = attrs["padding"]
    whole = Node(
        graph.unique_name(f"{node.name}.full"),
        "conv_transpose2d",
        list(node.inputs),
        dict(node.params),
        {**attrs, "padding": (0, 0), "output_padding": (0, 0)},
        (*node.shape[:2], *full),
        node.source,
    )
    insert_before(graph, node.name, whole)
    rows = _slice(node, whole.name, 2, starts[0])
    rows.name, rows.shape = (
        graph.unique_name(f"{node.name}.rows"),
        (*whole.shape[:2], node.shape[2], full[1]),
    )
    insert_before(graph, node.name, rows)
    replace(graph, node, _slice(node, rows.name, 3, starts[1]))
    return 1


def _slice(node: Node, x: str, axis: int, start: int) -> Node:
    attrs = {"axis": axis, "start": start, "stop": start + node.shape[axis], "step": 1}
    return Node(node.name, "slice", [x], {}, attrs, node.shape, node.source)
