"""PReLU in ops that the delegate takes: it has no int8 PRELU."""

from __future__ import annotations

import torch
from torch import Tensor

from intaglio.ir.edit import insert_before, replace
from intaglio.ir.graph import Graph, Node
from intaglio.passes.graph_pass import graph_pass
from intaglio.runtimes.litert.lower.depthwise import become_depthwise

RELU = (0.0, float("inf"))
SLOPES = (2.0**-7, 2.0**6)
"""XNNPACK's multipliers have 8 fractional bits; the result's scale depends on the slope as well."""
Attributes = dict[str, object]


@graph_pass
def lower_prelu(graph: Graph) -> int:
    """x where x >= 0, a x below becomes x + relu((a - 1) x); x - relu((1 - a) x) where a > 1.

    What is above zero is only moved to the result's grid, and loses nothing else. The rectified
    part is a depthwise 1x1 convolution of an image, and of other values a product with a constant.
    One slope for all channels is a leaky ReLU, but for slopes that its kernel does not take, which
    a leaky ReLU of the network may have as well.
    """
    changed = 0
    for node in graph:
        if node.op == "prelu":
            slope = graph.param(node, "weight").expand(node.channels)
        elif node.op == "leaky_relu" and not _takes(node.attrs["slope"]):
            slope = torch.full((node.channels,), node.attrs["slope"])
        else:
            continue
        is_one, first = bool((slope == slope[0]).all()), float(slope[0])
        if is_one and (first == 0.0 or _takes(first)):
            attrs: Attributes = {"slope": first} if first else {"activation": RELU}
            op = "leaky_relu" if first else "clamp"
            made = Node(node.name, op, list(node.inputs), {}, attrs, node.shape, node.source)
            replace(graph, node, made)
        else:
            _as_sum(graph, node, slope)
        changed += 1
    graph.drop_unused()
    return changed


def _takes(slope: float) -> bool:
    """Whether a leaky ReLU's kernel takes a slope, however its input's and result's scales lie."""
    return SLOPES[0] <= abs(slope) <= SLOPES[1]


def _as_sum(graph: Graph, node: Node, slope: Tensor) -> None:
    """Make a PReLU the sum, or the difference, of x and a rectified part that is put before it."""
    x = node.inputs[0]
    part = _scaled(graph, node, x, -(1.0 - slope).abs(), "part", activation=RELU)
    op = "sub" if bool((slope >= 1.0).all()) else "add"
    if op == "add" and bool((slope > 1.0).any()):
        sign = torch.where(slope > 1.0, -1.0, 1.0)
        part = _scaled(graph, node, part, sign, "signed", activation=None)
    attrs = {"activation": None}
    replace(graph, node, Node(node.name, op, [x, part], {}, attrs, node.shape, node.source))


def _scaled(
    graph: Graph,
    node: Node,
    x: str,
    gain: Tensor,
    suffix: str,
    *,
    activation: tuple[float, float] | None,
) -> str:
    """Return the value x times [C] numbers along axis 1, put before a node."""
    name = graph.unique_name(f"{node.name}.{suffix}")
    made = Node(name, "mul", [x], {}, {"activation": activation}, node.shape, node.source)
    insert_before(graph, node.name, made)
    if len(node.shape) == 4:
        become_depthwise(graph, made, gain.reshape(-1, 1, 1, 1))
        return name
    shape = (1, -1, *[1] * (len(node.shape) - 2))
    value = gain.reshape(shape)
    constant = Node(
        graph.unique_name(f"{name}.gain"),
        "constant",
        shape=tuple(value.shape),
        source=node.source,
    )
    insert_before(graph, name, constant)
    graph.set_param(constant, "value", value)
    made.inputs.append(constant.name)
    return name
