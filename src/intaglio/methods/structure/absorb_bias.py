"""High-bias absorption: the part of a channel that is always there moves into the next bias.

Equalization can make means, and with them activation ranges, large. Source: Nagel et al. 2019
(arXiv:1906.04721), section 4.1.3.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from intaglio.ir.graph import Graph, Node
from intaglio.numerics.normal import Normal
from intaglio.passes.channels import keeps_constants, layers_behind, reads_channels

PRESENT = 3.0
"""Standard deviations: mean - 3 std is there in 99.87 % of a normal channel's values."""

BELOW_CLAMP = 6.0
"""Standard deviations that must lie below an upper clamp: shifting moves what the clamp cuts."""


def absorb_bias(graph: Graph, statistics: Mapping[str, Normal]) -> dict[str, Normal]:
    """Move c = max(0, mean - 3 std) of each channel behind a ReLU into the next biases, in place.

        relu(x) = relu(x - c) + c   wherever x >= c

    so the layer's bias falls by c, and every layer that reads the value adds c times the sum of its
    column. It is done only where all readers are layers without zero padding, possibly behind
    means, pools or reshapes: a padded zero would have to become -c. Where an upper clamp follows
    (ReLU6), only for channels with mean + 6 std below it.

    Args:
        graph: Canonical or lowered.
        statistics: By layer, before the activation.

    Returns:
        The statistics with the absorbed means taken off.
    """
    shifted = dict(statistics)
    for node in graph:
        if node.name not in statistics or not reads_channels(graph, node):
            continue
        readers = _exact_readers(graph, node)
        shift = _shift(node, statistics[node.name])
        if not readers or not shift.any():
            continue
        channels = torch.zeros(node.shape[1])
        bias = graph.param(node, "bias", channels).double()
        graph.set_param(node, "bias", (bias - shift).float())
        for reader in readers:
            _add_to_bias(graph, reader, shift)
        normal = statistics[node.name]
        shifted[node.name] = Normal(normal.mean - shift, normal.std)
    return shifted


def _shift(node: Node, normal: Normal) -> Tensor:
    """Return c, [C] float64 >= 0: zeros for other activations than ReLU and ReLU6."""
    low, high = node.attrs["activation"] or (-torch.inf, torch.inf)
    if low != 0.0:
        return torch.zeros_like(normal.mean)
    present = normal.lower(PRESENT).clamp(min=0.0)
    return present.where(normal.upper(BELOW_CLAMP) <= high, 0.0)


def _exact_readers(graph: Graph, node: Node) -> list[Node]:
    """Return the layers that read the node's value, or none where one cannot absorb exactly."""
    found = layers_behind(graph, node.name, keeps_constants) or []
    padded = any(any(reader.attrs.get("padding", ())) for reader in found)
    return [] if padded else found


def _add_to_bias(graph: Graph, node: Node, shift: Tensor) -> None:
    """Add to the bias what a constant `shift` [C_in] in the input makes."""
    weight = graph.param(node, "weight").double()
    groups = node.attrs.get("groups", 1)
    columns = weight.reshape(groups, len(weight) // groups, weight.shape[1], -1).sum(3)
    made = (columns @ shift.reshape(groups, -1, 1)).flatten()
    bias = graph.param(node, "bias", torch.zeros(len(weight))).double()
    graph.set_param(node, "bias", (bias + made).float())
