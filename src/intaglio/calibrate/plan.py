"""Decisions before any data is seen: which values are integers, and which share a grid."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from intaglio.ir.graph import Graph, Node
from intaglio.numerics.spec import (
    INT8_ACTIVATION,
    INT8_WEIGHT,
    INT8_WEIGHT_PER_TENSOR,
    QuantParams,
    QuantSpec,
    per_tensor,
)
from intaglio.ops.convolution import WEIGHTED
from intaglio.ops.moving import SHARING, shares_a_grid
from intaglio.targets.target import Target, known_scheme

FIXED: dict[str, QuantParams] = {
    "sigmoid": per_tensor(1 / 256, -128),
    "tanh": per_tensor(1 / 128, 0),
}
"""Grids that LiteRT prescribes for a function's result."""


@dataclass(frozen=True)
class Plan:
    """What is to be quantized, and how.

    Attributes:
        activations: Spec by value; a value without an entry stays float32.
        groups: Sets of values that share one grid; every quantized value is in exactly one.
        fixed: Grids that are prescribed.
        derived: A value to (source, factor): its grid is the source's with the scale times factor.
        weights: Spec by layer.
        kept_float: Value to the reason why it stays float32.
    """

    activations: dict[str, QuantSpec]
    groups: tuple[tuple[str, ...], ...]
    fixed: dict[str, QuantParams]
    derived: dict[str, tuple[str, float]]
    weights: dict[str, QuantSpec]
    kept_float: dict[str, str]


def make_plan(graph: Graph, target: Target, scheme: str) -> Plan:
    """Return the plan for a lowered graph.

    Raises:
        UnknownName: If the target does not hold the scheme.
    """
    known_scheme(scheme, target)
    kept_float = {
        node.name: "softmax at the network's end: it is cheap, and its integer form is coarse"
        for node in graph
        if is_float_tail(graph, node)
    }
    integer = [node for node in graph if node.name not in kept_float]
    groups = _groups(graph, integer)
    alone = {group[0] for group in groups if len(group) == 1}
    return Plan(
        activations={node.name: INT8_ACTIVATION for node in integer},
        groups=groups,
        fixed={
            node.name: FIXED[node.op] for node in integer if node.op in FIXED and node.name in alone
        },
        derived={
            node.name: (node.inputs[0], node.attrs["factor"])
            for node in integer
            if node.op == "rescale" and node.name in alone
        },
        weights={node.name: _weight_spec(node, scheme) for node in integer if node.op in WEIGHTED},
        kept_float=kept_float,
    )


def is_float_tail(graph: Graph, node: Node) -> bool:
    """Whether a node is a softmax that makes an output of the network and nothing else."""
    return node.op == "softmax" and node.name in graph.outputs and not graph.readers(node.name)


def _weight_spec(node: Node, scheme: str) -> QuantSpec:
    if scheme.endswith("-per-tensor"):
        return INT8_WEIGHT_PER_TENSOR
    if WEIGHTED[node.op] == 0:
        return INT8_WEIGHT
    return QuantSpec(symmetric=True, axis=WEIGHTED[node.op], narrow=True)


def _groups(graph: Graph, integer: list[Node]) -> tuple[tuple[str, ...], ...]:
    """Return the connected components of "shares a grid with", in the graph's order."""
    leader = {node.name: node.name for node in integer}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for node in integer:
        if shares_a_grid(graph, node):
            for name in node.inputs:
                leader[find(node.name)] = find(name)
    members: dict[str, list[str]] = {}
    for node in integer:
        members.setdefault(find(node.name), []).append(node.name)
    return tuple(tuple(names) for names in members.values())


def observed_values(graph: Graph, plan: Plan) -> set[str]:
    """Return the values whose range must be seen; that of constants and moved values need not."""
    moved = SHARING - {"concat"}
    return {
        name
        for name in plan.activations
        if graph[name].op not in moved | {"constant", "concat"}
        and name not in plan.fixed
        and name not in plan.derived
    }


def constant_range(graph: Graph, node: Node) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (low, high) of a stored constant."""
    low, high = graph.param(node, "value").reshape(-1).aminmax()
    return low, high
