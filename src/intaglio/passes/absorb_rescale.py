"""Factors move along linear ops until they end in a weight, where they cost nothing."""

from __future__ import annotations

import torch

from intaglio.ir.edit import insert_after, redirect
from intaglio.ir.graph import Graph, Node
from intaglio.ops import OPS
from intaglio.ops.traits import TRAITS, WEIGHTED, commutes_with_scale
from intaglio.passes.graph_pass import graph_pass

CARRYING = frozenset(
    op
    for op, traits in TRAITS.items()
    if traits.values in ("moved", "mean") and OPS[op].arity == (1, 1)
)
"""Ops with f(c x) = c f(x) and one input that are no function of single values."""


@graph_pass
def absorb_rescale(graph: Graph) -> int:
    """Move each `rescale` forward, reader by reader, or back into the layer that makes its input.

    A convolution or linear layer takes the factor into its weight. Means, reshapes, and products
    without an activation pass it on. What cannot take it (an addition, an output) keeps the
    `rescale`.

    Returns:
        How many moves were made.
    """
    moves = 0
    while True:
        made = sum(_move(graph, node) for node in graph if node.op == "rescale")
        graph.drop_unused()
        moves += made
        if not made:
            return moves


def _move(graph: Graph, node: Node) -> int:
    if node.name not in graph.nodes:
        return 0
    moves = 0
    factor, source = node.attrs["factor"], node.inputs[0]
    maker = graph[source]
    is_linear = maker.op in WEIGHTED and maker.attrs["activation"] is None
    if is_linear and graph.only_reader(source) is node:
        _scale_weight(graph, maker, factor, with_bias=True)
        redirect(graph, node.name, source)
        return 1
    for reader in graph.readers(node.name):
        moves += _into_reader(graph, node, reader)
    return moves


def _into_reader(graph: Graph, node: Node, reader: Node) -> int:
    """Move the factor of `node` into or behind `reader`; return 1 when that was possible."""
    factor, source = node.attrs["factor"], node.inputs[0]
    if reader.op in WEIGHTED:
        _scale_weight(graph, reader, factor, with_bias=False)
        reader.inputs = [source]
        return 1
    if reader.op == "rescale":
        reader.attrs["factor"] *= factor
        reader.inputs = [source]
        return 1
    carries = (reader.op in CARRYING and commutes_with_scale(reader)) or reader.op == "mul"
    if not carries or reader.attrs.get("activation") is not None:
        return 0
    count = reader.inputs.count(node.name)
    reader.inputs = [source if name == node.name else name for name in reader.inputs]
    behind = Node(
        graph.unique_name(f"{reader.name}.rescale"),
        "rescale",
        [reader.name],
        {},
        {"factor": factor**count},
        reader.shape,
        reader.source,
    )
    insert_after(graph, reader.name, behind)
    redirect(graph, reader.name, behind.name, keep=frozenset({behind.name}))
    return 1


def _scale_weight(graph: Graph, layer: Node, factor: float, *, with_bias: bool) -> None:
    roles = ("weight", "bias") if with_bias else ("weight",)
    for role in roles:
        if role in layer.params:
            scaled = graph.param(layer, role).double() * factor
            graph.set_param(layer, role, scaled.to(torch.float32))
