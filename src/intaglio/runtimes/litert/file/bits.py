"""Which bits a file can hold: those of simulated schemes it cannot."""

from __future__ import annotations

from collections.abc import Iterator

from intaglio.errors import UnsupportedByTarget
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.encodings import Encodings
from intaglio.targets.target import Target

ACTIVATION_BITS = 8


def unheld(graph: Graph, encodings: Encodings, target: Target) -> Iterator[UnsupportedByTarget]:
    """Yield an error for each layer whose values or weight a file cannot hold."""
    for node in graph:
        value, weight = encodings.activations.get(node.name), encodings.weights.get(node.name)
        if value is not None and value.spec.bits != ACTIVATION_BITS:
            held = f"the file holds {ACTIVATION_BITS}"
            yield _unheld(
                node, f"its values have {value.spec.bits} bits and {held}", encodings, target
            )
        elif weight is not None and not _holds(graph, node, weight.spec.bits, target):
            held = "the file holds 8"
            lower = sorted(target.weight_bits - {8}, reverse=True)
            if lower:
                held += f", and {' and '.join(map(str, lower))} in {target.low_bit_layers}"
            yield _unheld(
                node, f"its weight has {weight.spec.bits} bits and {held}", encodings, target
            )


def _holds(graph: Graph, node: Node, bits: int, target: Target) -> bool:
    return bits in target.weight_bits and target.holds(
        node, graph.param(node, "weight").shape, bits
    )


def _unheld(node: Node, reason: str, encodings: Encodings, target: Target) -> UnsupportedByTarget:
    weights = min((grid.spec.bits for grid in encodings.weights.values()), default=8)
    values = min((grid.spec.bits for grid in encodings.activations.values()), default=8)
    return UnsupportedByTarget(
        node.source or node.name,
        node.op,
        target.name,
        reason=f"{reason} (scheme w{weights}a{values})",
        try_instead=f"Run it by the twin alone, or use one of {', '.join(target.schemes)}",
    )
