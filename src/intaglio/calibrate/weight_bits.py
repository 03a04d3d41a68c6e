"""How many bits each layer's weight gets, and its integer grid.

A target says which layers can have fewer than 8 bits (LiteRT: those that are matrix products); the
rest of a network, about a fiftieth of a MobileNet's weights, stays at 8. So do small layers: all
those of a MobileNetV2 together are 25 kB, and they carry a good part of the error. A simulated
scheme gives its bits to every layer.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from intaglio.errors import UnknownName, UnsupportedByTarget
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.scheme import Scheme
from intaglio.numerics.spec import QuantSpec
from intaglio.ops.traits import WEIGHTED
from intaglio.targets.target import Target

SMALL_LAYER = 10_000
"""Layers with fewer weights keep 8 bits, unless their bits are asked for by name."""
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
    return {
        node.name: weight_spec(
            node, asked.get(node.name) or _usual_bits(graph, node, scheme, target), scheme
        )
        for node in layers
    }


def weight_spec(node: Node, bits: int, scheme: Scheme) -> QuantSpec:
    """Return a weight's grid: symmetric, narrow (-7..7 at 4 bits), but -2..1 at 2 bits.

    At 2 bits a fourth level is much: a scale smaller than the largest weight can use it.
    """
    axis = WEIGHTED[node.op] if scheme.per_channel else None
    return QuantSpec(bits=bits, symmetric=True, axis=axis, narrow=bits != 2)


def _usual_bits(graph: Graph, node: Node, scheme: Scheme, target: Target) -> int:
    if target.simulates(scheme):
        return scheme.weight_bits
    weight = graph.param(node, "weight")
    if weight.numel() < SMALL_LAYER or not target.holds(node, weight.shape, scheme.weight_bits):
        return max(target.weight_bits)
    return scheme.weight_bits


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
