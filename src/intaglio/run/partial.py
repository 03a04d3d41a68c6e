"""Part of a network, or all of it: from given values at some nodes to the values of others.

Whatever computes a graph's values node by node does it by `Route.walk`: the float network, the
twin, one changed value and what lies behind it, a block, a window of one. They differ in what a
value is and in what makes it (`step`), never in the order, or in what is held in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from intaglio.errors import GraphError
from intaglio.ir.graph import Graph, Node

Value = TypeVar("Value")
"""What stands at a node: a tensor, or the tensors of several pieces of a batch."""

Tap = Callable[[Node, Tensor], None]
"""Called with each node and its value, as soon as the value is made."""

NodeFunction = Callable[[Node, Sequence[Tensor]], Tensor]
"""Returns what a node makes of its inputs."""


@dataclass(frozen=True, eq=False)
class Route:
    """Nodes to run one after the other, prepared once for any number of runs.

    Attributes:
        nodes: In order; an input among them has its value given.
        wanted: Names of the values that a run returns.
        last_reader: By value name, the node behind which it is freed; None for what is wanted.
    """

    nodes: Sequence[Node]
    wanted: Sequence[str]
    last_reader: Mapping[str, str | None]

    @staticmethod
    def through(nodes: Sequence[Node], wanted: Sequence[str]) -> Route:
        """Return the route through all of these nodes, which stand in the graph's order."""
        return Route(nodes, wanted, last_readers(nodes, wanted))

    @staticmethod
    def between(graph: Graph, given: Collection[str], wanted: Sequence[str]) -> Route:
        """Return the route through the nodes that lie between, and no others.

        Raises:
            GraphError: If a value that is wanted cannot be made from those that are given.
        """
        return Route.through(nodes_between(graph, given, wanted), wanted)

    def run(
        self, given: Mapping[str, Tensor], step: NodeFunction, tap: Tap | None = None
    ) -> dict[str, Tensor]:
        """Return the values that are wanted, by name.

        Args:
            given: What the nodes read and none before them makes; more does no harm.
            step: Makes a node's value; not called for inputs.
            tap: Sees the value of every node on the route.

        Raises:
            GraphError: If a value is needed that is neither given nor made.
        """
        values = given
        for node, values in self.walk(given, step):
            if tap is not None:
                tap(node, values[node.name])
        _refuse_missing(self.wanted, values)
        return {name: values[name] for name in self.wanted}

    def walk(
        self, given: Mapping[str, Value], step: Callable[[Node, Sequence[Value]], Value]
    ) -> Iterator[tuple[Node, Mapping[str, Value]]]:
        """Yield each node as soon as its value is made, and all values that are held then.

        The values are the walk's own: behind the node those go that nobody reads any more.

        Raises:
            GraphError: If a value is needed that is neither given nor made.
        """
        values, last_reader = dict(given), self.last_reader
        for node in self.nodes:
            name = node.name
            if node.op == "input":
                _refuse_missing([name], values)
            else:
                try:
                    values[name] = step(node, [values[source] for source in node.inputs])
                except KeyError:
                    _refuse_missing(node.inputs, values)
                    raise
            yield node, values
            for source in node.inputs:
                if last_reader[source] == name:
                    values.pop(source, None)  # gone already where it is read twice
            if last_reader[name] == name:
                del values[name]


def run_partial(
    graph: Graph,
    given: Mapping[str, Tensor],
    wanted: Sequence[str],
    step: NodeFunction,
    *,
    tap: Tap | None = None,
) -> dict[str, Tensor]:
    """Return the values that are wanted, by name, from those given; see `Route`.

    Raises:
        GraphError: If a value that is wanted cannot be made from those that are given.
    """
    return Route.between(graph, given.keys(), wanted).run(given, step, tap)


def run_whole(
    graph: Graph, given: Mapping[str, Tensor], step: NodeFunction, tap: Tap | None = None
) -> list[Tensor]:
    """Return the outputs of the graph in order, from its inputs; every node is run.

    Raises:
        GraphError: If an input is not given.
    """
    values = Route.through(list(graph), graph.outputs).run(given, step, tap)
    return [values[name] for name in graph.outputs]


def nodes_between(graph: Graph, given: Collection[str], wanted: Collection[str]) -> list[Node]:
    """Return the nodes to run, in order, for the values `wanted` where those `given` are known.

    Raises:
        GraphError: If a wanted value does not exist, or needs an input that is not given.
    """
    needed_for = {name: name for name in wanted if name not in given}
    found: list[Node] = []
    for node in reversed(graph.nodes.values()):
        if node.name not in needed_for:
            continue
        goal = needed_for.pop(node.name)
        if node.op == "input":
            raise GraphError(
                f"'{goal}' cannot be made from the values given: it needs the input '{node.name}';"
                " give that, or every value between the two"
            )
        found.append(node)
        for name in node.inputs:
            if name not in given:
                needed_for.setdefault(name, goal)
    for name, goal in needed_for.items():
        raise GraphError(f"'{goal}' cannot be made: no node before it makes '{name}'")
    found.reverse()
    return found


def behind(graph: Graph, name: str) -> list[Node]:
    """Return the nodes whose values depend on that of `name`, in order."""
    reached = {name}
    for node in graph.nodes.values():
        if not reached.isdisjoint(node.inputs):
            reached.add(node.name)
    return [node for node in graph if node.name in reached and node.name != name]


def last_readers(nodes: Sequence[Node], kept: Collection[str] = ()) -> dict[str, str | None]:
    """Return, by value name, the node behind which no other of the nodes reads it.

    That is the one that makes it where nobody reads it at all; None for what is to be kept.
    """
    found: dict[str, str | None] = {node.name: node.name for node in nodes}
    for node in nodes:
        for name in node.inputs:
            found[name] = node.name
    for name in kept:
        found[name] = None
    return found


def _refuse_missing(names: Sequence[str], values: Mapping[str, Value]) -> None:
    for name in names:
        if name not in values:
            raise GraphError(f"the value of '{name}' is needed, and neither given nor made before")
