"""Decisions before any data is seen: which values are integers, and which share a grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch

from intaglio.calibrate.coverage import covering_plan
from intaglio.calibrate.float_islands import float_islands
from intaglio.calibrate.half_weights import half_plan
from intaglio.calibrate.weight_bits import weight_specs
from intaglio.errors import RequestError
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.plan import Plan
from intaglio.numerics.scheme import DEPLOYABLE, Scheme
from intaglio.numerics.spec import QuantParams, QuantSpec
from intaglio.ops.traits import SHARING, WEIGHTED
from intaglio.targets.target import Target


def make_plan(
    graph: Graph,
    target: Target,
    scheme: Scheme,
    *,
    keep_float: Sequence[str] = (),
    weight_bits: Mapping[str, int] | None = None,
    float_tails: Mapping[str, str] | None = None,
) -> tuple[Graph, Plan]:
    """Return a copy of the lowered graph, `quantize` nodes where floats end, and its plan.

    Args:
        scheme: Also a simulated one, which the target does not hold.
        keep_float: Layers that stay float32, as the user's module names them.
        weight_bits: Layer to bits of its weight, where they are not the scheme's.
        float_tails: What stays float32 at the end, with the reason (float_tails.py).

    Raises:
        UnknownName: If there is no such layer.
        RequestError: If no layer with weights is left, or one is to be float and to have bits.
        UnsupportedByTarget: If a layer cannot have its bits; names it.
    """
    if scheme.is_half:
        return graph, half_plan(graph, keep_float)
    graph, asked = graph.copy(), weight_bits or {}
    if scheme.coverage != DEPLOYABLE:
        return covering_plan(graph, scheme, asked, keep_float)
    kept_float = float_islands(graph, keep_float, float_tails)
    _refuse_bits_of_floats(kept_float, asked)
    return _integer_plan(graph, target, scheme, kept_float, asked)


def _integer_plan(
    graph: Graph,
    target: Target,
    scheme: Scheme,
    kept_float: dict[str, str],
    asked: Mapping[str, int],
) -> tuple[Graph, Plan]:
    """Return a graph and the plan in which all but `kept_float` has a grid."""
    integer = [node for node in graph if node.name not in kept_float]
    layers = [node for node in integer if node.op in WEIGHTED]
    spec = QuantSpec(bits=scheme.activation_bits)
    groups = grid_groups(graph, integer, target.shares)
    alone = {group[0] for group in groups if len(group) == 1}
    return graph, Plan(
        dict.fromkeys((node.name for node in integer), spec),
        groups,
        _fixed(integer, alone, spec, target),
        _derived(integer, alone),
        weight_specs(graph, layers, scheme, target, asked=asked),
        kept_float,
    )


def _refuse_bits_of_floats(kept_float: Mapping[str, str], weight_bits: Mapping[str, int]) -> None:
    for name, bits in weight_bits.items():
        if name in kept_float:
            raise RequestError(
                f"keep_float and weight_bits both name layer '{name}': it is left in float, or its"
                f" weight has {bits} bits; take it out of one of them"
            )


def _fixed(
    integer: list[Node], alone: set[str], spec: QuantSpec, target: Target
) -> dict[str, QuantParams]:
    grids = {node.name: target.prescribed(node.op, spec) for node in integer if node.name in alone}
    return {name: grid for name, grid in grids.items() if grid is not None}


def _derived(integer: list[Node], alone: set[str]) -> dict[str, tuple[str, float]]:
    found = [node for node in integer if node.op == "rescale" and node.name in alone]
    return {node.name: (node.inputs[0], node.attrs["factor"]) for node in found}


def grid_groups(
    graph: Graph, integer: Sequence[Node], shares: Callable[[Graph, Node], bool]
) -> tuple[tuple[str, ...], ...]:
    """Return the connected components of "shares a grid with", in the graph's order.

    Args:
        integer: The nodes with a grid, in the graph's order; those that share one with their
            inputs come with them.
        shares: Whether a node's inputs and result must be on one grid.
    """
    leader = {node.name: node.name for node in integer}

    def find(name: str) -> str:
        """Return the value that stands for all that share its grid so far."""
        while leader[name] != name:
            name = leader[name]
        return name

    for node in integer:
        if shares(graph, node):
            for name in node.inputs:
                leader[find(node.name)] = find(name)
    members: dict[str, list[str]] = {}
    for node in integer:
        members.setdefault(find(node.name), []).append(node.name)
    return tuple(tuple(names) for names in members.values())


def observed_values(graph: Graph, plan: Plan) -> set[str]:
    """Return the values whose range must be seen; that of constants and moved values need not."""
    group_of = plan.group_of

    def is_moved(node: Node) -> bool:
        """Whether it holds values of its inputs, on their grid."""
        return node.op in SHARING and group_of[node.name] is group_of.get(node.inputs[0])

    return {
        name
        for name in plan.activations
        if graph[name].op not in ("constant", "concat")
        and not is_moved(graph[name])
        and name not in plan.fixed
        and name not in plan.derived
    }


def stored_range(graph: Graph, node: Node) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return (low, high) of a stored constant, or of the finite value that a `pad` fills with.

    None for other nodes. An infinite filling becomes the end of the grid, and widens none.
    """
    if node.op == "constant":
        low, high = graph.param(node, "value").reshape(-1).aminmax()
        return low, high
    if node.op != "pad" or _is_below(graph, node):
        return None
    if math.isfinite(node.attrs["value"]) and node.attrs["value"] != 0.0:
        filling = torch.tensor(node.attrs["value"])
        return filling, filling
    return None


def _is_below(graph: Graph, node: Node) -> bool:
    """Whether a `pad` fills with a negative number that never is the largest of a window.

    Max pools alone read it, whose windows reach beyond it. On a grid that does not hold the number
    its lowest integer does as well.
    """
    readers, margin = graph.readers(node.name), max(node.attrs["padding"])
    return (
        node.attrs["value"] < 0.0
        and node.name not in graph.outputs
        and not any(node.attrs["padding"][4:])
        and all(
            reader.op == "max_pool2d" and margin < min(reader.attrs["kernel"]) for reader in readers
        )
    )
