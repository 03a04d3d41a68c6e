"""Functions of single values, one behind the other, as one function: one table in integers."""

from __future__ import annotations

from intaglio.ir.edit import replace
from intaglio.ir.graph import Graph, Node
from intaglio.ops.function import LONGEST_CHAIN, Call
from intaglio.passes.graph_pass import graph_pass

NAMED = ("sigmoid", "tanh", "silu", "hard_swish", "hard_sigmoid")
"""Ops without settings that are functions under the same name."""


@graph_pass
def fuse_functions(graph: Graph) -> int:
    """Fuse each `function` with the functions of single values that alone feed it or read it.

    Those are others of its kind, activations, clamps, factors, and sums and products with one
    constant. Ops that no `function` stands next to stay what they are.
    """
    fused = 0
    while True:
        pairs = sum(_fuse(graph, node) for node in graph if node.name in graph.nodes)
        fused += pairs
        graph.drop_unused()
        if not pairs:
            return fused


def _fuse(graph: Graph, node: Node) -> int:
    """Let a node take the place of the one before it as well; return 1 where it did."""
    second = _calls(graph, node)
    if second is None:
        return 0
    before = graph[second[0]]
    first = _calls(graph, before)
    if first is None or "function" not in (before.op, node.op):
        return 0
    chain = first[1] + second[1]
    if graph.only_reader(before.name) is not node or len(chain) > LONGEST_CHAIN:
        return 0
    source = node.source if node.op == "function" else before.source
    attrs = {"chain": chain}
    replace(graph, node, Node(node.name, "function", [first[0]], {}, attrs, node.shape, source))
    del graph.nodes[before.name]
    return 1


def _calls(graph: Graph, node: Node) -> tuple[str, tuple[Call, ...]] | None:
    """Return the value that a node is a function of, and the function; None where it is none."""
    attrs = node.attrs
    if node.op in ("add", "sub", "mul", "div"):
        return _with_constant(graph, node)
    chains: dict[str, tuple[Call, ...]] = {name: ((name,),) for name in NAMED}
    if node.op == "function":
        chains = {"function": attrs["chain"]}
    elif node.op == "rescale":
        chains = {"rescale": (("mul", attrs["factor"]),)}
    elif node.op == "clamp":
        chains = {"clamp": (("clamp", *attrs["activation"]),)}
    elif node.op == "leaky_relu":
        chains = {"leaky_relu": (("leaky_relu", attrs["slope"]),)}
    return (node.inputs[0], chains[node.op]) if node.op in chains else None


def _with_constant(graph: Graph, node: Node) -> tuple[str, tuple[Call, ...]] | None:
    """Return what an operation with one constant number does to the other operand."""
    for index, name in enumerate(node.inputs):
        other = graph[node.inputs[1 - index]]
        if graph[name].op != "constant" or other.op == "constant" or other.shape != node.shape:
            continue
        value = graph.param(graph[name], "value")
        if value.numel() != 1:
            return None
        calls = _operation(node.op, float(value.item()), is_first=index == 0)
        activation = node.attrs.get("activation")
        clamps = () if activation is None else (("clamp", *activation),)
        return other.name, (*calls, *clamps)
    return None


def _operation(op: str, value: float, *, is_first: bool) -> tuple[Call, ...]:
    if op == "add":
        return (("add", value),)
    if op == "sub":
        return (("mul", -1.0), ("add", value)) if is_first else (("add", -value),)
    if op == "mul":
        return (("mul", value),)
    return (("reciprocal",), ("mul", value)) if is_first else (("mul", 1.0 / value),)
