"""A layer whose channels hold numbers of several kinds becomes one layer a kind.

A value has one integer grid. Where a detector's last convolution gives boxes, objectness and scores
in one map, the widest kind sets the steps of all; layers of their own have grids of their own. What
follows puts their channels back into the order that they had, and has the layer's name.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from intaglio.errors import GraphError
from intaglio.ir.edit import insert_before, replace
from intaglio.ir.graph import Graph, Node
from intaglio.ops.traits import WEIGHTED
from intaglio.ops.verify import verify

Kinds = Mapping[str, Sequence[int]]
"""Channels of a layer by the name of their kind; each channel is of one kind."""


def split_channels(graph: Graph, layers: Mapping[str, Kinds]) -> dict[str, dict[str, str]]:
    """Give each kind of channels of a layer a layer of its own.

    The layer `name` becomes layers `name.kind`, with its rows of the weight and the bias, slices of
    these, and a concatenation called `name`. Each channel is the sum of the same products; a kernel
    for fewer channels may add them up in another order, which moves the last bits.

    Args:
        graph: Changed in place.
        layers: By name. A layer of one kind, of several groups, or without a weight, stays.

    Returns:
        The new layers: by the name of the old one, then by kind.

    Raises:
        GraphError: If there is no such layer, or a channel of it is of no kind, or of two.
    """
    wanted = [name for name, kinds in layers.items() if _splits(graph, name, kinds)]
    made = {name: _split(graph, graph[name], layers[name]) for name in wanted}
    if made:
        graph.drop_unused()
        verify(graph)
    return made


def joined_channels(graph: Graph, layer: str, parts: Mapping[str, Tensor], kinds: Kinds) -> Tensor:
    """Return one tensor of a layer, put together again from those of the kinds.

    Args:
        graph: With the layer as it was.
        layer: Its name.
        parts: By kind: the weight of that kind's layer, or its bias.
        kinds: As the layer was split.
    """
    first = next(iter(parts.values()))
    axis = WEIGHTED[graph[layer].op] if first.ndim > 1 else 0
    rows = torch.cat([parts[kind] for kind in kinds], axis)
    order = torch.tensor([channel for channels in kinds.values() for channel in channels])
    return rows.index_select(axis, order.argsort().to(rows.device))


def _splits(graph: Graph, name: str, kinds: Kinds) -> bool:
    node = graph.nodes.get(name)
    if node is None:
        raise GraphError(f"cannot split '{name}': there is no such layer")
    if len(kinds) < 2 or node.op not in WEIGHTED or node.attrs.get("groups", 1) != 1:
        return False
    found = sorted(itertools.chain.from_iterable(kinds.values()))
    count = graph.param(node, "weight").shape[WEIGHTED[node.op]]
    if found != list(range(count)) or not all(kinds.values()):
        raise GraphError(
            f"cannot split '{name}': its {count} channels must each be of one kind, and no kind"
            " empty"
        )
    return True


def _split(graph: Graph, layer: Node, kinds: Kinds) -> dict[str, str]:
    """Put layers, slices and the concatenation in the place of a layer; return the layers."""
    axis = len(layer.shape) - 1 if layer.op == "linear" else 1
    made = {kind: _layer_of(graph, layer, kind, axis, kinds[kind]) for kind in kinds}
    parts = []
    for kind, start, stop in _runs(kinds):
        part = made[kind]
        if stop - start < part.shape[axis]:
            name = graph.unique_name(f"{part.name}.{start}")
            attrs = {"axis": axis, "start": start, "stop": stop, "step": 1}
            shape = _with_size(layer.shape, axis, stop - start)
            part = Node(name, "slice", [part.name], {}, attrs, shape, layer.source)
            insert_before(graph, layer.name, part)
        parts.append(part)
    names = [part.name for part in parts]
    joined = Node(layer.name, "concat", names, {}, {"axis": axis}, layer.shape, layer.source)
    replace(graph, layer, joined)
    return {kind: node.name for kind, node in made.items()}


def _layer_of(graph: Graph, layer: Node, kind: str, axis: int, channels: Sequence[int]) -> Node:
    """Return the new layer that makes some channels of a layer, in their order."""
    shape = _with_size(layer.shape, axis, len(channels))
    name = graph.unique_name(f"{layer.name}.{kind}")
    made = Node(name, layer.op, list(layer.inputs), {}, dict(layer.attrs), shape, layer.source)
    insert_before(graph, layer.name, made)
    for role, value in graph.params_of(layer).items():
        graph.set_param(made, role, _rows(layer, role, value, channels))
    return made


def _rows(layer: Node, role: str, value: Tensor, channels: Sequence[int]) -> Tensor:
    axis = WEIGHTED[layer.op] if role == "weight" else 0
    return value.index_select(axis, torch.tensor(channels, device=value.device))


def _with_size(shape: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
    return (*shape[:axis], size, *shape[axis + 1 :])


def _runs(kinds: Kinds) -> list[tuple[str, int, int]]:
    """Return (kind, start, stop) in the kind's own layer for each run of neighbours, in order."""
    place = {
        channel: (kind, index)
        for kind, channels in kinds.items()
        for index, channel in enumerate(channels)
    }
    runs: list[tuple[str, int, int]] = []
    for channel in sorted(place):
        kind, index = place[channel]
        if runs and runs[-1][0] == kind and runs[-1][2] == index:
            runs[-1] = (kind, runs[-1][1], index + 1)
        else:
            runs.append((kind, index, index + 1))
    return runs
