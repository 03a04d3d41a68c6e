"""What a network is made of, and what will be hard to quantize in it, without any image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from intaglio.calibrate import make_plan
from intaglio.cost.macs import count_macs, count_params, total_params
from intaglio.errors import UnsupportedByTarget
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.scheme import Scheme
from intaglio.ops.traits import GIVEN
from intaglio.ops.unknown_call import follows_from_another, why_node, word_of
from intaglio.passes.canonicalize import canonicalize
from intaglio.report.layers import weight_ranges
from intaglio.runtimes import DEFAULT_TARGET, TARGETS
from intaglio.targets.target import Target, known_scheme

UNEQUAL = 100.0
"""Ratio of the widest channel's range to the median from which a layer is named."""

DEAD_SHARE = 0.01
"""A channel is called dead when its variance is below this share of the batch norm's epsilon."""


@dataclass(frozen=True)
class LayerCost:
    """One layer.

    Attributes:
        name: The value's name in the graph.
        op: What makes it.
        shape: Of the value; the first entry is -1 for the batch.
        macs: Multiply-accumulates for one image.
        params: Learned weights.
        source: The layer's name in the user's module; empty where it has none.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    macs: int
    params: int
    source: str


@dataclass(frozen=True)
class Inspection:
    """A network looked through.

    Attributes:
        layers: In the order in which they run.
        params, macs: Of the whole network; a weight that is shared counts once.
        hazards: Sentences, each naming a layer and what will be hard there.
    """

    layers: tuple[LayerCost, ...]
    params: int
    macs: int
    hazards: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "layers": [{**asdict(layer), "shape": list(layer.shape)} for layer in self.layers],
            "params": self.params,
            "macs": self.macs,
            "hazards": list(self.hazards),
        }


def inspect(
    graph: Graph, target: Target | str = DEFAULT_TARGET, scheme: str | None = None
) -> Inspection:
    """Return what a graph holds, and what will be hard to quantize in it.

    Args:
        graph: As `capture` made it, or as a saved result keeps it.
        target: The runtime, or its name.
        scheme: As on the command line; None: the target's first.

    Raises:
        UnknownName: If there is no such target or scheme, or the target does not hold the scheme.
    """
    runtime = TARGETS[target] if isinstance(target, str) else target
    macs, params = count_macs(graph), count_params(graph)
    layers = tuple(
        LayerCost(node.name, node.op, node.shape, macs[node.name], params[node.name], node.source)
        for node in graph
        if node.op not in GIVEN
    )
    hazards = tuple(_hazards(graph, runtime, known_scheme(scheme, runtime)))
    return Inspection(layers, total_params(graph), sum(macs.values()), hazards)


def joined(parts: Sequence[Inspection]) -> Inspection:
    """Return what several parts of one network hold together."""
    return Inspection(
        tuple(layer for part in parts for layer in part.layers),
        sum(part.params for part in parts),
        sum(part.macs for part in parts),
        tuple(hazard for part in parts for hazard in part.hazards),
    )


def _hazards(graph: Graph, target: Target, scheme: Scheme) -> Iterator[str]:
    yield from unknown_ops(graph)
    yield from dead_channels(graph)
    folded = graph.copy()
    canonicalize(folded)
    yield from unequal_channels(folded)
    yield from separate_hard_swishes(folded)
    yield from refused_layers(folded, target, scheme)


def unknown_ops(graph: Graph) -> Iterator[str]:
    """Name each layer whose op intaglio does not know."""
    for node in graph:
        if node.op == "opaque" and not follows_from_another(graph, node):
            why = why_node(graph, node)
            yield (
                f"layer '{_layer(node)}' ({word_of(node)}): {why.reason}: compress refuses it."
                f" {why.remedy}"
            )


def dead_channels(graph: Graph) -> Iterator[str]:
    """Name each batch norm with channels that never vary: epsilon alone decides their factor.

    Such a factor gamma / sqrt(eps) is large and blows up the range of a folded weight.
    """
    for node in graph:
        if node.op == "batch_norm":
            dead = graph.param(node, "var") < DEAD_SHARE * node.attrs["eps"]
            if bool(dead.any()):
                yield (
                    f"layer '{_layer(node)}' has {int(dead.sum())} of {dead.numel()} channels with"
                    " a variance near 0 (dead channels): folding it makes weights large there"
                )


def unequal_channels(graph: Graph) -> Iterator[str]:
    """Name each layer of a folded graph in which one channel's range dwarfs the others'."""
    for name, (lows, highs) in weight_ranges(graph).items():
        widths = torch.maximum(torch.tensor(lows).abs(), torch.tensor(highs).abs())  # [C_out]
        ratio = _ratio(widths)
        if ratio > UNEQUAL:
            yield (
                f"layer '{_layer(graph[name])}' has a channel whose weights reach {ratio:,.0f}"
                " times as far as the median channel's: one scale for the whole weight would lose"
                " the rest"
            )


def separate_hard_swishes(graph: Graph) -> Iterator[str]:
    """Count the hard-swishes: none can be fused into the layer before it."""
    found = [node for node in graph if node.op == "hard_swish"]
    if found:
        yield (
            f"{len(found)} hard-swish activations (first '{_layer(found[0])}') cannot be fused:"
            " each becomes an add and a multiplication with 8-bit values between them"
        )


def refused_layers(folded: Graph, target: Target, scheme: Scheme) -> Iterator[str]:
    """Name each layer that the target cannot hold, found with made-up ranges.

    What depends on ranges, such as scales that cannot be matched, only `compress` can find.
    """
    try:
        graph, plan = make_plan(target.lower(folded).graph, target, scheme)
    except UnsupportedByTarget as error:
        yield str(error)
        return
    opaque = {node.source or node.name for node in graph if node.op == "opaque"}
    for refusal in target.refusals(graph, plan):
        if refusal.layer not in opaque:  # they were named before
            yield str(refusal)


def _ratio(widths: Tensor) -> float:
    alive = widths[widths > 0]
    return float(alive.max() / alive.median()) if len(alive) else 0.0


def _layer(node: Node) -> str:
    return node.source or node.name
