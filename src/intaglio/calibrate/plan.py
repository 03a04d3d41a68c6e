"""Decisions before any data is seen: which values are integers, and which share a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from intaglio.calibrate.float_islands import float_islands
from intaglio.calibrate.weight_bits import weight_specs
from intaglio.errors import RequestError
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.scheme import parse_scheme
from intaglio.numerics.spec import QuantParams, QuantSpec, per_tensor
from intaglio.ops.traits import SHARING, WEIGHTED, shares_a_grid
from intaglio.targets.target import Target

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


def make_plan(
    graph: Graph,
    target: Target,
    scheme: str,
    *,
    keep_float: Sequence[str] = (),
    weight_bits: Mapping[str, int] | None = None,
) -> Plan:
    """Return the plan for a lowered graph.

    Args:
        scheme: As on the command line; also a simulated one, which no target holds.
        keep_float: Layers that stay float32, as the user's module names them. Where integer layers
            read their values, `quantize` nodes are put into the graph (float_islands.py).
        weight_bits: Layer to bits of its weight (8, 4 or 2; 2 to 8 in a simulated scheme), where it
            is not to have the scheme's.

    Raises:
        UnknownName: If there is no such scheme, or no such layer.
        RequestError: If no layer with weights is left to quantize, or one is to be float and to
            have some bits.
        UnsupportedByTarget: If a layer cannot have the bits asked for; names the layer.
    """
    wished = parse_scheme(scheme)
    spec = QuantSpec(bits=wished.activation_bits)
    kept_float = float_islands(graph, keep_float)
    _refuse_both(weight_bits or {}, kept_float)
    integer = [node for node in graph if node.name not in kept_float]
    layers = [node for node in integer if node.op in WEIGHTED]
    groups = _groups(graph, integer)
    alone = {group[0] for group in groups if len(group) == 1}
    return Plan(
        activations={node.name: spec for node in integer},
        groups=groups,
        fixed=_fixed(integer, alone, spec),
        derived=_derived(integer, alone),
        weights=weight_specs(graph, layers, wished, target, asked=weight_bits or {}),
        kept_float=kept_float,
    )


def _refuse_both(weight_bits: Mapping[str, int], kept_float: Mapping[str, str]) -> None:
    for name, bits in weight_bits.items():
        if name in kept_float:
            raise RequestError(
                f"keep_float and weight_bits both name layer '{name}': it is left in float, or its"
                f" weight has {bits} bits; take it out of one of them"
            )


def _fixed(integer: list[Node], alone: set[str], spec: QuantSpec) -> dict[str, QuantParams]:
    found = [node for node in integer if node.op in FIXED and node.name in alone]
    return {node.name: _fixed_grid(node.op, spec) for node in found}


def _derived(integer: list[Node], alone: set[str]) -> dict[str, tuple[str, float]]:
    found = [node for node in integer if node.op == "rescale" and node.name in alone]
    return {node.name: (node.inputs[0], node.attrs["factor"]) for node in found}


def _fixed_grid(op: str, spec: QuantSpec) -> QuantParams:
    """Return what is prescribed at 8 bits, or as much coarser as there are fewer bits."""
    grid, fewer = FIXED[op], FIXED[op].spec.bits - spec.bits
    return per_tensor(float(grid.step) * 2**fewer, grid.zero >> fewer, spec)


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
