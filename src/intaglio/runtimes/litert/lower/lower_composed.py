"""Softmax, quotients and largest values of two, composed of ops that are exact on every processor.

The runtime's own int8 SOFTMAX gives other bits on ARM than on x86-64, DIV is float32 alone, and
MAXIMUM and MINIMUM are not delegated (kernels.md, section 5).
"""

from __future__ import annotations

from typing import Any

from intaglio.calibrate.float_islands import float_ends
from intaglio.ir.edit import insert_before, replace
from intaglio.ir.graph import Graph, Node
from intaglio.ops.function import Call
from intaglio.passes.graph_pass import graph_pass

LEAST_EXPONENT = -16.0
"""exp(-16) is 1e-7 of the largest value: below the last bit that float32 adds up."""
RELU = (0.0, float("inf"))


@graph_pass
def lower_softmax(graph: Graph) -> int:
    """Softmax inside the network: exp(x - max), divided by its sum; one that stays in float stays.

    The sum of n values lies between 1 and n, and 8 bits are too few for the small ones beside the
    large: mean(e) is made twice, once up to a threshold t and once from t on, and

        1 / sum = (t / min(mean, t)) (1 / (n max(mean, t)))

    With t = n^(-2/3) both factors lose the same share of the largest quotient.
    """
    ends, changed = float_ends(graph), 0
    for node in graph:
        if node.op != "softmax" or node.name in ends:
            continue
        x, axis = node.inputs[0], node.attrs["axis"]
        count = node.shape[axis]
        threshold = count ** (-2 / 3)
        over: dict[str, Any] = {"axes": (axis,), "keepdim": True}
        shape = tuple(1 if index == axis else size for index, size in enumerate(node.shape))
        largest = _before(graph, node, "max", "reduce_max", [x], over, shape)
        below = _before(graph, node, "difference", "sub", [x, largest], {"activation": None})
        powers = _function(graph, node, "exp", below, ("clamp", LEAST_EXPONENT, 0.0), ("exp",))
        means = [
            _before(graph, node, word, "mean", [powers], dict(over), shape)
            for word in ("small", "large")
        ]
        scaled = ("mul", 1.0 / threshold), ("reciprocal",)
        small = _function(graph, node, "up", means[0], ("clamp", 0.0, threshold), *scaled)
        scaled = ("mul", float(count)), ("reciprocal",)
        large = _function(graph, node, "down", means[1], ("clamp", threshold, 1.0), *scaled)
        share = {"activation": None}
        quotient = _before(graph, node, "share", "mul", [small, large], share, shape)
        product = Node(node.name, "mul", [powers, quotient], {}, {"activation": None}, node.shape)
        product.source = node.source
        replace(graph, node, product)
        changed += 1
    return changed


@graph_pass
def lower_div(graph: Graph) -> int:
    """a / b as a (1 / b): a table and a product."""
    changed = 0
    for node in graph:
        if node.op != "div":
            continue
        a, b = node.inputs
        inverse = _function(graph, node, "reciprocal", b, ("reciprocal",))
        attrs, source = {"activation": None}, node.source
        replace(graph, node, Node(node.name, "mul", [a, inverse], {}, attrs, node.shape, source))
        changed += 1
    return changed


@graph_pass
def lower_extremes(graph: Graph) -> int:
    """max(a, b) as a + relu(b - a), min(a, b) as a - relu(a - b)."""
    changed = 0
    for node in graph:
        if node.op not in ("maximum", "minimum"):
            continue
        a, b = node.inputs
        if graph[a].shape != node.shape:
            a, b = b, a  # one of the two has the result's shape, or both are broadcast
        operands, word = ([b, a], "add") if node.op == "maximum" else ([a, b], "sub")
        excess = _before(graph, node, "excess", "sub", operands, {"activation": RELU})
        attrs, source = {"activation": None}, node.source
        replace(graph, node, Node(node.name, word, [a, excess], {}, attrs, node.shape, source))
        changed += 1
    return changed


def _before(
    graph: Graph,
    node: Node,
    word: str,
    op: str,
    inputs: list[str],
    attrs: dict[str, Any],
    shape: tuple[int, ...] | None = None,
) -> str:
    """Put a node of the same layer before `node`; return its name."""
    name = graph.unique_name(f"{node.name}.{word}")
    made = Node(name, op, inputs, {}, attrs, node.shape if shape is None else shape, node.source)
    return insert_before(graph, node.name, made).name


def _function(graph: Graph, node: Node, word: str, x: str, *chain: Call) -> str:
    return _before(graph, node, word, "function", [x], {"chain": chain}, graph[x].shape)
