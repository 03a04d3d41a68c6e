"""Which weights a network in float16 stores as such, and the network that it then is.

A layer whose weights reach beyond 65504 keeps all its numbers in float32, as do layers that the
user names, and layers that share numbers with one of these. There are no grids: the network
computes in float32 with the numbers that float16 holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from intaglio.calibrate.encodings import FOLDED_WEIGHTS, require_finite
from intaglio.calibrate.float_islands import ASKED, layers_called
from intaglio.errors import RequestError
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.half import (
    LARGEST,
    HalfCounts,
    half_counts,
    rounded_to_half,
    rows_rounded_to_half,
)
from intaglio.numerics.plan import Plan
from intaglio.ops.traits import WEIGHTED


def half_plan(graph: Graph, keep_float: Sequence[str] = ()) -> Plan:
    """Return the plan of a network in float16: no grids, and which layers stay in float32.

    Raises:
        UnknownName: If there is no layer that `keep_float` names.
        RequestError: If one that it names stores no numbers.
        NonFiniteError: If a weight is NaN or infinite; names the layer.
    """
    kept = {name for layer in keep_float for name in _asked(graph, layer)}
    reasons: dict[str, str] = {}
    for node in graph:
        params = half_params(graph, node)
        for values in real_params(graph, node).values():
            require_finite(node, FOLDED_WEIGHTS, values.abs().max())
        if not params:
            continue
        if node.name in kept:
            reasons[node.name] = ASKED
        elif why := _too_large(params):
            reasons[node.name] = why
    return Plan({}, (), {}, {}, {}, _with_sharers(graph, reasons))


def half_network(graph: Graph, plan: Plan) -> tuple[Graph, Encodings]:
    """Return the graph with its weights rounded to float16, and which of them are stored so.

    Filters are rounded so that their sums stay (`rows_rounded_to_half`), all else to the nearest.
    Biases stay float32: they are a two-hundredth of a MobileNet's numbers, and rounded they cost as
    much as all its weights.
    """
    kept = {key for name in plan.kept_float for key in graph[name].params.values()}
    made, halves = graph.copy(), set()
    for node in graph:
        for role, values in half_params(graph, node).items():
            key = node.params[role]
            if key not in kept:
                made.params[key] = _rounded(node, role, values)
                halves.add(key)
    return made, Encodings({}, {}, frozenset(halves))


def _rounded(node: Node, role: str, values: Tensor) -> Tensor:
    if role != "weight" or WEIGHTED.get(node.op) != 0:
        return rounded_to_half(values)
    return rows_rounded_to_half(values.flatten(1)).reshape(values.shape)


def half_params(graph: Graph, node: Node) -> dict[str, Tensor]:
    """Return what a node may store in float16, by its role: its float32 numbers but the bias."""
    found = real_params(graph, node)
    return {role: values for role, values in found.items() if role != "bias"}


def real_params(graph: Graph, node: Node) -> dict[str, Tensor]:
    """Return what a node stores in float32, by its role."""
    found = graph.params_of(node)
    return {
        role: values
        for role, values in found.items()
        if values.dtype == torch.float32 and values.numel()
    }


def layer_counts(graph: Graph, node: Node) -> HalfCounts | None:
    """Return what float16 does to what a node of the float graph may store so; None: nothing."""
    counts = [half_counts(values) for values in half_params(graph, node).values()]
    return sum(counts[1:], counts[0]) if counts else None


def _asked(graph: Graph, layer: str) -> list[str]:
    """Return the nodes of a layer that the user names which store numbers.

    Raises:
        UnknownName: If there is no such layer.
        RequestError: If it stores none.
    """
    found = [node.name for node in layers_called(graph, layer) if half_params(graph, node)]
    if not found:
        raise RequestError(
            f"keep_float: layer '{layer}' stores no numbers, and computes in float32 anyhow: leave"
            " it out"
        )
    return found


def _too_large(params: Mapping[str, Tensor]) -> str:
    """Return why a layer is not for float16; "" where it is."""
    for role, values in params.items():
        found = half_counts(values)
        if found.overflow:
            return (
                f"{found.overflow} of {found.count} numbers of its {role} are beyond {LARGEST:g},"
                f" the largest of float16 (up to {found.largest:.4g}): it is stored in float32"
            )
    return ""


def _with_sharers(graph: Graph, reasons: Mapping[str, str]) -> dict[str, str]:
    """Return what stays in float32, with the layers that share a stored number with it."""
    found = dict(reasons)
    while True:
        keys = {key: name for name in found for key in graph[name].params.values()}
        more = {
            node.name: f"it shares its numbers with '{keys[key]}', which is stored in float32"
            for node in graph
            for key in node.params.values()
            if key in keys and node.name not in found
        }
        if not more:
            return {node.name: found[node.name] for node in graph if node.name in found}
        found |= more
