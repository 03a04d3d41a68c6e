"""Streams: values whose channels can only be rescaled together, and the layers at their ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.numerics.normal import Normal
from intaglio.ops.traits import is_homogeneous
from intaglio.passes.channels import reads_channels, scales_along

MARGIN = 1.25
"""How much larger than anything seen on some images a channel may still become on others."""

BINDS = 2.0
"""Any s above 1: the clamp cuts values already."""


@dataclass(frozen=True, eq=False)
class Stream:
    """Values that additions, pools and reshapes tie together, channel by channel.

    Dividing the rows of all writers by positive numbers s, and multiplying the columns of all
    readers by them, leaves the network's function as it is.

    Attributes:
        writers: Layers whose output channels start in the stream.
        readers: Layers whose input channels come from it.
        lowest: [C] float64, the smallest s at which no clamp of a writer binds.
        free: [C] bool; elsewhere a clamp binds already, and s must be 1.
    """

    writers: tuple[str, ...]
    readers: tuple[str, ...]
    lowest: Tensor
    free: Tensor


def find_streams(
    graph: Graph,
    statistics: Mapping[str, Normal],
    *,
    deviations: float,
    largest: Mapping[str, Tensor] | None = None,
) -> list[Stream]:
    """Return every stream whose channels can be rescaled, in the graph's order.

    That is one whose values are read by layers with a column for each channel alone (through
    additions, pools, means, reshapes), are written by layers alone, and are no outputs. A writer
    with a clamp that is not homogeneous (ReLU6) needs statistics, or to be in `largest`.

    Args:
        deviations: A channel reaches at most mean + deviations * std.
        largest: As for `equalize`.
    """
    ties, seen = _Ties(graph), largest or {}
    streams = []
    for values in ties.groups():
        writers = [node for node in values if reads_channels(graph, node)]
        limits = [
            _limits(node, statistics.get(node.name), deviations, seen.get(node.name))
            for node in writers
        ]
        names = {node.name for node in values}
        readers = [
            node.name for node in graph if reads_channels(graph, node) and node.inputs[0] in names
        ]
        known = [limit for limit in limits if limit is not None]
        if not known or len(known) < len(limits) or not readers:
            continue
        lowest = torch.stack(known).amax(0)
        streams.append(
            Stream(tuple(node.name for node in writers), tuple(readers), lowest, lowest <= 1.0)
        )
    return streams


class _Ties:
    """Values tied to each other, and whether a tie leads to what cannot be rescaled."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.parent = {name: name for name in graph.nodes}
        self.blocked = set(graph.outputs)
        for node in graph:
            self._tie(node)

    def groups(self) -> Iterable[list[Node]]:
        """Return the values of each group of which none is blocked."""
        found: dict[str, list[Node]] = {}
        for node in self.graph:
            found.setdefault(self._root(node.name), []).append(node)
        blocked = {self._root(name) for name in self.blocked}
        return [nodes for root, nodes in found.items() if root not in blocked]

    def _tie(self, node: Node) -> None:
        graph = self.graph
        if reads_channels(graph, node):
            return
        is_sum = node.op in ("add", "sub") and is_homogeneous(node.attrs["activation"])
        shapes = {graph[name].shape[1:2] for name in node.inputs} | {node.shape[1:2]}
        ranks = {len(graph[name].shape) for name in node.inputs} | {len(node.shape)}
        is_carrier = len(node.inputs) == 1 and scales_along(graph, node)
        if (is_sum and len(shapes) == len(ranks) == 1) or is_carrier:
            for name in node.inputs:
                self.parent[self._root(name)] = self._root(node.name)
        else:
            self.blocked.update((node.name, *node.inputs))

    def _root(self, name: str) -> str:
        while self.parent[name] != name:
            name = self.parent[name]
        return name


def _limits(
    layer: Node, normal: Normal | None, deviations: float, seen: Tensor | None
) -> Tensor | None:
    """Return the smallest s of each channel, [C]; above 1 where the clamp binds; None: unknown."""
    if is_homogeneous(layer.attrs["activation"]):
        return torch.zeros(layer.shape[1], dtype=torch.float64)
    low, high = layer.attrs["activation"]
    if seen is not None and low == 0.0 < high:
        return torch.where(seen < high, (seen.double() * MARGIN / high).clamp(max=1.0), BINDS)
    if normal is None or not low <= 0.0 <= high or low == high:
        return None
    lowest = torch.zeros(layer.shape[1], dtype=torch.float64)
    if 0.0 < high < torch.inf:
        lowest = torch.maximum(lowest, normal.upper(deviations) / high)
    if -torch.inf < low < 0.0:
        lowest = torch.maximum(lowest, normal.lower(deviations) / low)
    return lowest
