"""How many bits each layer's weight gets, and its integer grid.

A target says which layers can have fewer than 8 bits (LiteRT: those that are matrix products); the
rest of a network, about a fiftieth of a MobileNet's weights, stays at 8. So do its smallest layers:
those of a MobileNetV2 together are 25 kB, and they carry a good part of the error. Where a network
is made of small layers, most of them get the bits. A simulated scheme gives its own to every layer.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Collection, Mapping, Sequence

from intaglio.errors import UnknownName, UnsupportedByTarget
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.plan import Plan
from intaglio.numerics.scheme import Scheme
from intaglio.numerics.spec import QuantSpec
from intaglio.ops.traits import WEIGHTED
from intaglio.targets.target import Target

SMALL_LAYER = 10_000
"""Layers with fewer weights keep 8 bits, unless their bits are asked for by name..."""
SMALL_SHARE = 0.05
"""...as long as all that do have no more than this of the network's weights; smallest first."""
WIDTHS = range(2, 9)


def low_bit_layers(graph: Graph, target: Target, bits: int = 2) -> list[str]:
    """Return the layers that the target can hold at `bits`, in the graph's order.

    Small layers are among them.
    """
    return [
        node.name
        for node in graph
        if node.op in WEIGHTED and target.holds(node, graph.param(node, "weight").shape, bits)
    ]


def weight_specs(
    graph: Graph,
    layers: Sequence[Node],
    scheme: Scheme,
    target: Target,
    *,
    asked: Mapping[str, int],
) -> dict[str, QuantSpec]:
    """Return the integer grid of each of the layers' weights.

    Args:
        layers: The nodes with weights that become integers.
        asked: Layer to bits, before what the scheme says.

    Raises:
        UnknownName: If a layer asked for is none of them.
        UnsupportedByTarget: If it cannot have the bits asked for; names the layer.
    """
    by_name = {node.name: node for node in layers}
    for name, bits in asked.items():
        if name not in by_name:
            raise _no_such_layer(name, list(by_name))
        if not _can_have(graph, by_name[name], bits, scheme, target):
            raise _cannot_have(by_name[name], bits, scheme, target)
    low = _with_low_bits(graph, layers, scheme, target)
    widest = max(target.weight_bits)
    usual = {node.name: scheme.weight_bits if node.name in low else widest for node in layers}
    return {
        node.name: weight_spec(node, asked.get(node.name, usual[node.name]), scheme)
        for node in layers
    }


def unmet_bits(plan: Plan, scheme: Scheme, target: Target) -> list[str]:
    """Return a warning where the scheme's bits of weights are in no layer; else nothing."""
    found = {spec.bits for spec in plan.weights.values()}
    if not found or scheme.mixed or scheme.weight_bits in found:
        return []
    have = " or ".join(map(str, sorted(found)))
    return [
        f"no layer's weights got the {scheme.weight_bits} bits of scheme {scheme.name}, they have"
        f" {have}: target {target.name} holds fewer than {max(target.weight_bits)} in"
        f" {target.low_bit_layers} alone, and this network has none that is not small;"
        " weight_bits gives a layer its own"
    ]


def weight_spec(node: Node, bits: int, scheme: Scheme) -> QuantSpec:
    """Return a weight's grid: symmetric, narrow (-7..7 at 4 bits), but -2..1 at 2 bits.

    At 2 bits a fourth level is much: a scale smaller than the largest weight can use it.
    """
    axis = WEIGHTED[node.op] if scheme.per_channel else None
    return QuantSpec(bits=bits, symmetric=True, axis=axis, narrow=bits != 2)


def _with_low_bits(
    graph: Graph, layers: Sequence[Node], scheme: Scheme, target: Target
) -> Collection[str]:
    """Return the layers that get the scheme's bits where none are asked for by name."""
    weights = {node.name: graph.param(node, "weight") for node in layers}
    if target.simulates(scheme):
        return weights
    sizes = {name: weight.numel() for name, weight in weights.items()}
    held = [
        node.name
        for node in layers
        if target.holds(node, weights[node.name].shape, scheme.weight_bits)
    ]
    ascending = sorted(held, key=sizes.__getitem__)
    together = itertools.accumulate(sizes[name] for name in ascending)
    most = SMALL_SHARE * sum(sizes.values())
    return {
        name
        for name, whole in zip(ascending, together, strict=True)
        if sizes[name] >= SMALL_LAYER or whole > most
    }


def _can_have(graph: Graph, node: Node, bits: int, scheme: Scheme, target: Target) -> bool:
    if target.simulates(scheme):
        return bits in WIDTHS
    return target.holds(node, graph.param(node, "weight").shape, bits)


def _no_such_layer(name: str, layers: list[str]) -> UnknownName:
    near = difflib.get_close_matches(name, layers, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "look at the report's layers"
    return UnknownName(
        f"weight_bits names '{name}', which is no integer layer with weights: {hint}"
    )


def _cannot_have(node: Node, bits: int, scheme: Scheme, target: Target) -> UnsupportedByTarget:
    widths = sorted(target.weight_bits, reverse=True)
    if target.simulates(scheme):
        reason, instead = f"{bits} bits for its weight", "Give it 2 to 8"
    elif bits not in widths:
        reason = f"{bits} bits for its weight, under scheme {scheme.name}"
        instead = f"Give it {', '.join(map(str, widths[:-1]))} or {widths[-1]}"
    else:
        reason = f"{bits} bits for its weight: they are held in {target.low_bit_layers} alone"
        instead = f"Leave it at {widths[0]} bits"
    return UnsupportedByTarget(
        node.source or node.name, node.op, target.name, reason=reason, try_instead=instead
    )
