"""Squeeze-excite goes: each channel keeps the mean of its gate, and nothing is computed for it.

Squeeze-excite multiplies a value by gates that it computes from the value's own means: y = x g(x).
Gates vary little from image to image where a network is not taught to need them; y = x E[g] is then
near, and the mean, one number a channel, goes into the weights that read y.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from intaglio.ir.edit import bypass, replace
from intaglio.ir.graph import Graph, Node
from intaglio.run.float import run_float


def drop_squeeze_excite(graph: Graph, batches: Iterable[Tensor]) -> int:
    """Replace each squeeze-excite by its mean gates, in place; return how many there were.

    This changes the network's function.

    Args:
        graph: Canonical or lowered.
        batches: Images [N, C, H, W] each, on which gates are averaged.
    """
    gates = {node.name: gate for node in graph if (gate := gate_of(graph, node)) is not None}
    if not gates:
        return 0
    means = _means(graph, set(gates.values()), batches)
    for name, gate in gates.items():
        node = graph[name]
        node.inputs = [value for value in node.inputs if value != gate]
        _scale(graph, node, means[gate])
    graph.drop_unused()
    return len(gates)


def gate_of(graph: Graph, node: Node) -> str | None:
    """Return the gates that a product multiplies a value with, if it is a squeeze-excite's.

    That is, gates of one number a channel, computed by a chain of nodes, each of one input, that
    begins with the mean over height and width of the very value.
    """
    if node.op != "mul" or len(node.inputs) != 2 or node.attrs.get("activation") is not None:
        return None
    for gate, value in (node.inputs, reversed(node.inputs)):
        if tuple(graph[gate].shape[2:]) != (1, 1) or graph[value].shape != node.shape:
            continue
        maker = graph[gate]
        while len(maker.inputs) == 1 and maker.inputs[0] != value:
            maker = graph[maker.inputs[0]]
        if maker.inputs == [value] and maker.op in ("mean", "adaptive_avg_pool2d"):
            return gate
    return None


def _means(graph: Graph, names: set[str], batches: Iterable[Tensor]) -> dict[str, Tensor]:
    """Return the mean over all images of values [N, C, 1, 1], [C] float64 each."""
    sums = {name: torch.zeros(graph[name].shape[1], dtype=torch.float64) for name in names}
    count = 0

    def tap(node: Node, value: Tensor) -> None:
        """Add up the values that are asked for."""
        if node.name in sums:
            sums[node.name] += value.double().sum((0, 2, 3))

    for images in batches:
        run_float(graph, images, tap=tap)
        count += len(images)
    return {name: total / max(1, count) for name, total in sums.items()}


def _scale(graph: Graph, node: Node, factors: Tensor) -> None:
    """Make a node of one input multiply its channels, [C], or its readers do it."""
    readers = graph.readers(node.name)
    is_inside = node.name not in graph.outputs and bool(readers)
    if is_inside and all(_takes_columns(reader) for reader in readers):
        for reader in readers:
            weight = graph.param(reader, "weight")
            shape = [1, -1, *[1] * (weight.ndim - 2)]
            graph.set_param(reader, "weight", (weight.double() * factors.reshape(shape)).float())
        bypass(graph, node)
        return
    attrs = {"activation": None}
    affine = Node(node.name, "affine", list(node.inputs), {}, attrs, node.shape, node.source)
    made = replace(graph, node, affine)
    graph.set_param(made, "weight", factors.float())
    graph.set_param(made, "bias", torch.zeros(len(factors)))


def _takes_columns(reader: Node) -> bool:
    """Whether a layer's weight has one column for each channel that it reads, padding being 0."""
    return reader.op == "conv2d" and reader.attrs["groups"] == 1
