"""Swishes become what integers are cheaper, or better, at: hard-swish, and ReLU.

SiLU x sigmoid(x) has no kernel of its own on many runtimes; hard-swish x ReLU6(x + 3) / 6 stands
for it (Howard et al. 2019, arXiv:1905.02244, section 5.2). ReLU in the place of hard-swish is what
quantization-friendly MobileNets have (Kulkarni et al. 2021): it commutes with scales, so that
channels can be equalized through it, and it fuses into the layer before.
"""

from __future__ import annotations

from intaglio.ir.edit import replace
from intaglio.ir.graph import Graph, Node
from intaglio.passes.fuse_activation import fuse_activation
from intaglio.passes.graph_pass import graph_pass

RELU = (0.0, float("inf"))


@graph_pass
def silu_to_hard_swish(graph: Graph) -> int:
    """Replace each SiLU by a hard-swish; return how many. This changes the network's function."""
    return _replaced(graph, "silu", "hard_swish", {})


@graph_pass
def hard_swish_to_relu(graph: Graph) -> int:
    """Replace each hard-swish by a ReLU, fused into the layer before it where it can be.

    This changes the network's function. Returns how many were replaced.
    """
    changed = _replaced(graph, "hard_swish", "clamp", {"activation": RELU})
    if changed:
        fuse_activation(graph)
    return changed


def _replaced(graph: Graph, old: str, new: str, attrs: dict[str, object]) -> int:
    found = [node for node in graph if node.op == old]
    for node in found:
        other = Node(node.name, new, list(node.inputs), {}, dict(attrs), node.shape, node.source)
        replace(graph, node, other)
    return len(found)
