"""The invariants of a legal graph; a pass that breaks one is found at once and by name."""

from __future__ import annotations

from intaglio.errors import GraphError
from intaglio.ir.graph import Graph
from intaglio.ops import check_node


def verify(graph: Graph) -> None:
    """Raise GraphError when the graph breaks an invariant; return nothing when it is legal."""
    names_match(graph)
    schemas_hold(graph)
    made_before_read(graph)
    params_exist(graph)
    ends_exist(graph)


def names_match(graph: Graph) -> None:
    """Every node is filed under its own name."""
    for name, node in graph.nodes.items():
        if name != node.name:
            raise GraphError(f"node '{node.name}' is filed under '{name}'")


def schemas_hold(graph: Graph) -> None:
    """Every node has the inputs, settings and weights that its op's schema names."""
    for node in graph.nodes.values():
        check_node(node)


def made_before_read(graph: Graph) -> None:
    """Every value is made before it is read."""
    made: set[str] = set()
    for node in graph.nodes.values():
        for name in node.inputs:
            if name not in made:
                raise GraphError(f"node '{node.name}' reads '{name}' before it is made")
        made.add(node.name)


def params_exist(graph: Graph) -> None:
    """Every weight that a node names is there."""
    for node in graph.nodes.values():
        for role, key in node.params.items():
            if key not in graph.params:
                raise GraphError(f"node '{node.name}' has no {role}: no weight '{key}'")


def ends_exist(graph: Graph) -> None:
    """Inputs are input nodes, outputs values of the graph, with a name each or none at all."""
    for name in graph.inputs:
        if name not in graph.nodes or graph[name].op != "input":
            raise GraphError(f"input '{name}' is not an input node")
    for name in graph.outputs:
        if name not in graph.nodes:
            raise GraphError(f"output '{name}' does not exist")
    if not graph.outputs:
        raise GraphError("the graph has no outputs")
    names = graph.output_names
    if names and (len(names) != len(graph.outputs) or len(set(names)) != len(names)):
        raise GraphError(f"the outputs {graph.outputs} have the names {names}")
