"""Running a graph in float32, and finding the shapes of its values."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from intaglio.errors import GraphError
from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.ops import OPS
from intaglio.run.partial import Tap, run_whole


def run_float(graph: Graph, images: Tensor, *, tap: Tap | None = None) -> list[Tensor]:
    """Return the outputs of the graph for `images` [N, C, H, W], in float32.

    Only values that still have a reader are held in memory.
    """

    def step(node: Node, inputs: Sequence[Tensor]) -> Tensor:
        """Return what the node makes of its inputs."""
        return run_node(graph, node, inputs)

    with torch.no_grad():
        return run_whole(graph, {graph.inputs[0]: images}, step, tap)


def run_node(graph: Graph, node: Node, inputs: Sequence[Tensor]) -> Tensor:
    """Return what one node makes of its inputs, in float32."""
    return OPS[node.op].function(node, inputs, graph.params_of(node))


def channels_last(graph: Graph, device: str = "cpu") -> Graph:
    """Return the graph with its weights on a device, convolutions channels last in memory."""
    copy = graph.copy()
    copy.params = {
        key: value.to(device, memory_format=torch.channels_last)
        if value.ndim == 4
        else value.to(device)
        for key, value in graph.params.items()
    }
    return copy


def in_layout(value: Tensor) -> Tensor:
    """Return a value in the layout that convolutions run fastest in: images channels last."""
    return value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value


def infer_shapes(graph: Graph) -> None:
    """Set every node's shape by running the ops on tensors without storage (device "meta").

    Each graph is run with two batch sizes: an axis that changes with the batch is the batch axis.

    Raises:
        GraphError: If an input has no shape yet, or the batch ends up on another axis than 0.
    """
    shapes = [_shapes_at(graph, batch) for batch in (2, 3)]
    for node in graph.nodes.values():
        small, large = shapes[0][node.name], shapes[1][node.name]
        if small[1:] != large[1:]:
            raise GraphError(f"node '{node.name}' mixes the batch into another axis: {small}")
        node.shape = (BATCH, *small[1:]) if small[:1] != large[:1] else small


def _shapes_at(graph: Graph, batch: int) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    meta = {key: value.to("meta") for key, value in graph.params.items()}

    def step(node: Node, inputs: Sequence[Tensor]) -> Tensor:
        """Return what the node makes of inputs without storage: a shape."""
        if node.op == "opaque" and node.shape[:1] == (BATCH,):  # its call may ask for storage
            return torch.empty((batch, *node.shape[1:]), device="meta")
        params = {role: meta[key] for role, key in node.params.items()}
        value = OPS[node.op].function(node, inputs, params)
        return value.to("meta")  # a tensor that an opaque call makes from nothing names its device

    given = {}
    for name in graph.inputs:
        shape = graph[name].shape
        if not shape:
            raise GraphError(f"input '{name}' has no shape")
        given[name] = torch.empty((batch, *shape[1:]), device="meta")
    with torch.no_grad():
        run_whole(
            graph, given, step, lambda node, value: found.update({node.name: tuple(value.shape)})
        )
    return found
