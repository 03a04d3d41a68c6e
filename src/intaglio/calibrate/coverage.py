"""Which values have a grid in schemes that papers compare themselves in, and devices do not run.

Weights have a zero point for each output channel, as in the papers' codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from intaglio.errors import RequestError
from intaglio.ir.edit import insert_after
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.plan import Plan
from intaglio.numerics.scheme import GENIE, SQUANT, Scheme
from intaglio.numerics.spec import QuantSpec
from intaglio.ops.traits import WEIGHTED
from intaglio.ops.verify import verify

WIDE = 8
"""Bits of what the schemes keep at more than their name says."""


def covering_plan(
    graph: Graph, scheme: Scheme, weight_bits: Mapping[str, int], keep_float: Sequence[str] = ()
) -> tuple[Graph, Plan]:
    """Return a copy of a graph and its plan, by the coverage of a scheme.

    Args:
        graph: Canonical: activations are fused into what they follow.
        weight_bits: Layer to bits of its weight, where they are not the scheme's.
        keep_float: Layers that are to stay float: none may be.

    Raises:
        RequestError: If no layer with weights is there, a layer that has bits is none, or some are
            to stay float.
    """
    if keep_float:
        raise RequestError(
            f"scheme {scheme.name} says itself which values stay in float, and keep_float names"
            f" '{keep_float[0]}': take it out, or a scheme that devices run"
        )
    graph = graph.copy()
    layers = [node for node in graph if node.op in WEIGHTED]
    if not layers:
        raise RequestError(f"scheme {scheme.name}: the network has no layer with weights")
    for name in weight_bits:
        if name not in {node.name for node in layers}:
            raise RequestError(f"weight_bits names '{name}', which is no layer with weights")
    bits = _value_bits(graph, layers, scheme)
    ends = (layers[0].name, layers[-1].name) if scheme.coverage == GENIE else ()
    weights = {
        node.name: QuantSpec(
            weight_bits.get(node.name, WIDE if node.name in ends else scheme.weight_bits),
            axis=WEIGHTED[node.op],
        )
        for node in layers
    }
    activations = {node.name: QuantSpec(bits[node.name]) for node in graph if node.name in bits}
    groups = tuple((name,) for name in activations)
    return graph, Plan(activations, groups, {}, {}, weights, {})


def _value_bits(graph: Graph, layers: list[Node], scheme: Scheme) -> dict[str, int]:
    """Return the bits of values, by name; nodes that have to hold some are put into the graph."""
    if scheme.coverage == SQUANT:
        return _read_by_layers(graph, layers, scheme)
    bits = {node.name: scheme.activation_bits for node in graph if _is_rectified(node)}
    if scheme.coverage == GENIE:
        bits[layers[-1].inputs[0]] = WIDE
        if len(layers) > 1 and layers[1].inputs[0] in bits:
            bits[layers[1].inputs[0]] = WIDE
    return bits


def _is_rectified(node: Node) -> bool:
    bounds = node.attrs.get("activation")
    return bounds is not None and bounds[0] == 0.0


def _read_by_layers(graph: Graph, layers: list[Node], scheme: Scheme) -> dict[str, int]:
    """Put a `quantize` node between layers and what they read; return the bits of these nodes."""
    bits: dict[str, int] = {}
    made: dict[str, str] = {}
    for node in layers:
        source = graph[node.inputs[0]]
        if source.op == "input":
            continue
        if source.name not in made:
            name = graph.unique_name(f"{source.name}.quantize")
            insert_after(
                graph,
                source.name,
                Node(name, "quantize", [source.name], shape=source.shape, source=source.source),
            )
            made[source.name] = name
        name = made[source.name]
        node.inputs = [name, *node.inputs[1:]]
        bits[name] = WIDE if node is layers[-1] else scheme.activation_bits
    verify(graph)
    return bits
