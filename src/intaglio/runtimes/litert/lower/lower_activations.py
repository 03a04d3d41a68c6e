"""Activation functions in the forms that the runtime's delegate takes.

LiteRT's XNNPACK delegate has no int8 HARD_SWISH and no RELU as an op of its own. ADD with a clamped
result and MUL say the same (kernels.md, section 5).
"""

from __future__ import annotations

import torch

from intaglio.ir.edit import insert_before, replace
from intaglio.ir.graph import Graph, Node
from intaglio.passes.graph_pass import graph_pass

GATE = (0.0, 6.0)


@graph_pass
def lower_hard_sigmoid(graph: Graph) -> int:
    """relu6(x + 3) / 6: the 3 goes into the bias of the layer before, the 1/6 into a `rescale`.

    Where x has other readers, or is not made by a convolution or linear layer, it is an `add`.
    """
    changed = 0
    for node in graph:
        if node.op != "hard_sigmoid":
            continue
        gate = _gate(graph, node, node.inputs[0])
        sixth = {"factor": 1.0 / 6.0}
        replace(graph, node, Node(node.name, "rescale", [gate], {}, sixth, node.shape, node.source))
        changed += 1
    return changed


@graph_pass
def lower_hard_swish(graph: Graph) -> int:
    """x * relu6(x + 3) / 6 becomes add, mul, and a `rescale` by 1/6 that later passes absorb."""
    changed = 0
    for node in graph:
        if node.op != "hard_swish":
            continue
        x = node.inputs[0]
        gate = _add_three(graph, node, x)
        product = Node(
            graph.unique_name(f"{node.name}.product"),
            "mul",
            [x, gate],
            {},
            {"activation": None},
            node.shape,
            node.source,
        )
        insert_before(graph, node.name, product)
        sixth = {"factor": 1.0 / 6.0}
        replace(
            graph,
            node,
            Node(node.name, "rescale", [product.name], {}, sixth, node.shape, node.source),
        )
        changed += 1
    return changed


@graph_pass
def lower_silu(graph: Graph) -> int:
    """x * sigmoid(x) as two nodes."""
    changed = 0
    for node in graph:
        if node.op != "silu":
            continue
        gate = Node(
            graph.unique_name(f"{node.name}.sigmoid"),
            "sigmoid",
            list(node.inputs),
            shape=node.shape,
            source=node.source,
        )
        insert_before(graph, node.name, gate)
        inputs = [node.inputs[0], gate.name]
        attrs = {"activation": None}
        replace(graph, node, Node(node.name, "mul", inputs, {}, attrs, node.shape, node.source))
        changed += 1
    return changed


def _gate(graph: Graph, node: Node, x: str) -> str:
    """Return the value relu6(x + 3), made for `node`."""
    maker = graph[x]
    if maker.op not in ("conv2d", "linear") or graph.only_reader(x) is not node:
        return _add_three(graph, node, x)
    if maker.attrs["activation"] is not None:
        return _add_three(graph, node, x)
    zeros = torch.zeros(graph.param(maker, "weight").shape[0])
    graph.set_param(maker, "bias", graph.param(maker, "bias", zeros) + 3.0)
    maker.attrs["activation"] = GATE
    return x


def _add_three(graph: Graph, node: Node, x: str) -> str:
    three = scalar_constant(graph, node, 3.0)
    gate = Node(
        graph.unique_name(f"{node.name}.gate"),
        "add",
        [x, three],
        {},
        {"activation": GATE},
        node.shape,
        node.source,
    )
    return insert_before(graph, node.name, gate).name


def scalar_constant(graph: Graph, node: Node, value: float) -> str:
    """Put a constant with one element before `node`; return its name."""
    name = graph.unique_name(f"{node.name}.constant")
    shape = (1,) * len(node.shape)
    constant = insert_before(
        graph, node.name, Node(name, "constant", shape=shape, source=node.source)
    )
    graph.set_param(constant, "value", torch.full(shape, value))
    return name
