"""What calibration found for a whole graph: parameters by value and by layer."""

from __future__ import annotations

from dataclasses import dataclass

from intaglio.numerics.spec import QuantParams


@dataclass(frozen=True)
class Encodings:
    """Numbers beside a graph, never inside it.

    Attributes:
        activations: By value (node name); values without an entry are float32.
        weights: By layer (node name): the scales of its weight; its bias is int32 at input scale
            times weight scale.
        halves: Keys of the graph's parameters that are stored as float16, in a network that
            computes in float32 throughout and has no grids; None: a network of integers.
    """

    activations: dict[str, QuantParams]
    weights: dict[str, QuantParams]
    halves: frozenset[str] | None = None
