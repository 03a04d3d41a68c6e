"""A step of the third party: weights clipped to a share of their largest, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass, replace

from intaglio.methods.steps.state import Context, Prepared
from intaglio.methods.steps.steps import STRUCTURE, register_step
from intaglio.ops.traits import WEIGHTED


@register_step("clip-weights", STRUCTURE, needs=(), alters=True)
@dataclass(frozen=True)
class ClipWeights:
    """Clip every weight to a share of its layer's largest.

    Attributes:
        share: 0..1.
    """

    share: float = 0.9

    def __call__(self, state: Prepared, context: Context) -> Prepared:
        """Return the state with clipped weights, which later steps tune towards."""
        graph = state.graph.copy()
        for node in graph:
            if node.op in WEIGHTED:
                weight = graph.param(node, "weight")
                limit = float(weight.abs().max()) * self.share
                graph.set_param(node, "weight", weight.clamp(-limit, limit))
        return replace(state, graph=graph, reference=graph)
