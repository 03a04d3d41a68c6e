"""Which encodings a file can hold: those of simulated schemes it cannot."""

from __future__ import annotations

from intaglio.errors import UnsupportedByTarget
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.encodings import Encodings
from intaglio.runtimes.litert.low_bits import runs_as_matrix
from intaglio.targets.target import Target

ACTIVATION_BITS = 8


def refuse_unheld(graph: Graph, encodings: Encodings, target: Target) -> None:
    """Raise UnsupportedByTarget for the first layer whose values or weight a file cannot hold."""
    for node in graph:
        value, weight = encodings.activations.get(node.name), encodings.weights.get(node.name)
        if value is not None and value.spec.bits != ACTIVATION_BITS:
            held = f"the file holds {ACTIVATION_BITS}"
            raise _unheld(
                node, f"its values have {value.spec.bits} bits and {held}", encodings, target
            )
        if weight is not None and not _holds(graph, node, weight.spec.bits, target):
            held = "the file holds 8"
            lower = sorted(target.weight_bits - {8}, reverse=True)
            if lower:
                widths = " and ".join(map(str, lower))
                held += f", and {widths} in pointwise convolutions and linear layers whose rows"
                held += " of weights fill whole bytes"
            raise _unheld(
                node, f"its weight has {weight.spec.bits} bits and {held}", encodings, target
            )


def _holds(graph: Graph, node: Node, bits: int, target: Target) -> bool:
    if bits == 8:
        return True
    shape = graph.param(node, "weight").shape
    return bits in target.weight_bits and runs_as_matrix(node, shape, bits)


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
