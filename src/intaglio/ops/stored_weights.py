"""Whether the weights of a graph that was read from files fit its layers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from intaglio.errors import GraphError
from intaglio.ir.graph import Graph, Node
from intaglio.ops.traits import TRAITS


def check_weights(graph: Graph) -> None:
    """Raise GraphError unless each node's weights are there, finite, and of the shapes it needs."""
    for node in graph:
        weights = graph.params_of(node)
        missing = sorted(set(TRAITS[node.op].weights.needed) - set(weights))
        if missing:
            raise GraphError(f"node '{node.name}' ({node.op}) has no {missing[0]}")
        for role, tensor in weights.items():
            _check_values(node, role, tensor)
            wanted = _shape_of(node, role, weights)
            if tuple(tensor.shape) != wanted:
                raise GraphError(
                    f"the {role} of '{node.name}' ('{node.params[role]}') has shape"
                    f" {list(tensor.shape)}, not {list(wanted)}"
                )


def _check_values(node: Node, role: str, tensor: Tensor) -> None:
    where = f"the {role} of '{node.name}' ('{node.params[role]}')"
    if node.op != "constant" and tensor.dtype != torch.float32:
        raise GraphError(f"{where} is {tensor.dtype}, not float32")
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        bad = int((~tensor.isfinite()).sum())
        raise GraphError(f"{where} holds {bad} NaN or infinite values")
    if role == "var" and bool((tensor < 0).any()):
        raise GraphError(f"{where} holds the variance {float(tensor.min()):g}, below 0")


def _shape_of(node: Node, role: str, weights: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Return the shape that a weight must have, as far as other weights and the value tell."""
    if node.op == "constant":
        return node.shape
    rank = TRAITS[node.op].weights.rank
    if rank is None:
        return node.shape[1:2]  # one number for each channel
    shape = tuple(weights["weight"].shape)
    if len(shape) != rank:
        raise GraphError(
            f"the weight of '{node.name}' ({node.op}) has shape {list(shape)}, not {rank} axes"
        )
    if role == "weight":
        return shape  # whether it fits the inputs is told by the value's shape
    if node.op == "conv_transpose2d":
        return (shape[1] * node.attrs["groups"],)
    return shape[:1]
