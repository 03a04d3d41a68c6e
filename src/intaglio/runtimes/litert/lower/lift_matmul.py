"""Products of two values on five axes: those with four are images in the file, channels last.

BATCH_MATMUL multiplies over the last two axes, and in the file the last of four axes is the graph's
second. With an axis of size 1 behind the batch the order is the graph's, and the transposes around
the product, and around everything between two products, are gone.
"""

from __future__ import annotations

from typing import Any

from intaglio.ir.edit import insert_after, insert_before, redirect
from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.ops.traits import ELEMENTWISE, TRAITS
from intaglio.passes.graph_pass import graph_pass
from intaglio.passes.remove_noop import remove_noop

LIFTED = {op for op in ELEMENTWISE if not TRAITS[op].weights.needed} | {
    "concat",
    "matmul",
    "mean",
    "reduce_max",
    "slice",
    "transpose",
}
"""Ops that can be done on five axes as on four."""


@graph_pass
def lift_matmul(graph: Graph) -> int:
    """Give products of four axes, and what lies between and around them, a fifth."""
    region = _region(graph)
    made: dict[str, str] = {}
    for name in region:
        _lift(graph, graph[name], made)
    graph.drop_unused()
    while region and remove_noop(graph):
        pass  # reshapes that undo each other
    return len(region)


def _region(graph: Graph) -> list[str]:
    """Return the products and what is lifted with them, in order.

    Behind a product that is what reads nothing else but constants, and before one what nothing else
    reads.
    """
    inputs = {node.name: set(node.inputs) for node in graph}
    liftable = {
        node.name
        for node in graph
        if node.op in LIFTED and node.name not in graph.outputs and _has_four_axes(graph, node)
    }
    found = {name for name in liftable if graph[name].op == "matmul"}
    constants = {node.name for node in graph if node.op == "constant"}
    readers = {name: {other for other in inputs if name in inputs[other]} for name in liftable}
    size = 0
    while size != len(found):
        size = len(found)
        for name in liftable - found:
            behind = inputs[name] & found and inputs[name] <= found | constants
            if behind or (readers[name] and readers[name] <= found):
                found.add(name)
    return [node.name for node in graph if node.name in found]


def _lift(graph: Graph, node: Node, made: dict[str, str]) -> None:
    """Put a node on five axes; `made` holds the values that were brought there already."""
    for name in node.inputs:
        made[name] = made.get(name) or _lifted_input(graph, node, name)
    node.inputs = [made[name] for name in node.inputs]
    node.attrs = _lifted_settings(node)
    before, node.shape = node.shape, _with_axis(node.shape)
    down = Node(graph.unique_name(f"{node.name}.four"), "reshape", [node.name])
    down.attrs, down.shape, down.source = {"shape": (BATCH, *before[1:])}, before, node.source
    insert_after(graph, node.name, down)
    redirect(graph, node.name, down.name, keep=frozenset({down.name}))


def _lifted_input(graph: Graph, node: Node, name: str) -> str:
    maker = graph[name]
    shape = _with_axis(maker.shape)
    made = Node(graph.unique_name(f"{name}.five"), maker.op, shape=shape, source=maker.source)
    if maker.op == "constant":
        insert_before(graph, node.name, made)
        graph.set_param(made, "value", graph.param(maker, "value").reshape(shape))
        return made.name
    made.op, made.inputs, made.attrs = "reshape", [name], {"shape": (BATCH, *shape[1:])}
    return insert_before(graph, node.name, made).name


def _lifted_settings(node: Node) -> dict[str, Any]:
    attrs = dict(node.attrs)
    if node.op in ("concat", "slice"):
        attrs["axis"] += 1
    elif node.op in ("mean", "reduce_max"):
        attrs["axes"] = tuple(axis + 1 for axis in attrs["axes"])
    elif node.op == "transpose":
        attrs["order"] = (0, 1, *(axis + 1 for axis in attrs["order"][1:]))
    return attrs


def _with_axis(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], 1, *shape[1:])


def _has_four_axes(graph: Graph, node: Node) -> bool:
    return all(len(graph[name].shape) == 4 for name in (node.name, *node.inputs))
