"""The graph: nodes that make one value each, and a dict of weights. Nothing about quantization.

A node is its value: its name is the key in every mapping (encodings, reports, the written file).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from intaglio.errors import GraphError
from intaglio.ir.storage import settled

BATCH = -1
"""Stands for the symbolic batch size, the first entry of every shape."""


@dataclass(slots=True)
class Node:
    """One op and the one value it makes.

    Attributes:
        name: Unique in its graph; the value's name.
        op: Name of the op in `intaglio.ops`.
        inputs: Names of the values it reads, in order.
        params: Role ("weight", "bias", ...) to key in `Graph.params`.
        attrs: The op's settings, plain data.
        shape: Shape of the value; the first entry is BATCH where it depends on the batch.
        source: The layer's name in the user's module ("features.3.conv.0"), for messages.
    """

    name: str
    op: str
    inputs: list[str] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    source: str = ""

    @property
    def channels(self) -> int:
        """Size of axis 1, the channel axis of every value with a batch."""
        return self.shape[1]


@dataclass(slots=True)
class Graph:
    """Structure and weights.

    Attributes:
        nodes: By name, in an order in which every value is made before it is read.
        params: Weights by key, detached float32 tensors.
        inputs: Names of the nodes that hold the network's inputs.
        outputs: Names of the values that the network returns, in order.
        output_names: What the network calls them, in the same order, where it returns a dict; ()
            where they have no names.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    params: dict[str, Tensor] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    output_names: tuple[str, ...] = ()

    @property
    def output_titles(self) -> list[str]:
        """What to call the outputs where they are told: by the network's names, else the values'.

        No two are the same, unless a network without names returns a value twice.
        """
        return list(self.output_names or self.outputs)

    def __iter__(self) -> Iterator[Node]:
        return iter(list(self.nodes.values()))

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def param(self, node: Node, role: str, default: Tensor | None = None) -> Tensor:
        """Return the weight of `node` in `role`, or `default` where the node has none."""
        key = node.params.get(role)
        if key is None:
            if default is None:
                raise GraphError(f"node '{node.name}' ({node.op}) has no {role}")
            return default
        return self.params[key]

    def params_of(self, node: Node) -> dict[str, Tensor]:
        """Return the weights of `node` by role."""
        return {role: self.params[key] for role, key in node.params.items()}

    def set_param(self, node: Node, role: str, value: Tensor) -> None:
        """Give `node` the weight `value` under a key of its own.

        A key that a reused module shares with another node is left to that node, so that no weight
        is ever changed twice; the new key is "<node>.<role>", or "<node>.<role>:1", ... where that
        is the shared one.
        """
        old = node.params.pop(role, None)
        key = wish = f"{node.name}.{role}"
        number = 0
        while self._is_used(key):
            number += 1
            key = f"{wish}:{number}"
        self.params[key] = settled(value.detach())
        node.params[role] = key
        if old is not None and not self._is_used(old):
            del self.params[old]

    def readers(self, name: str) -> list[Node]:
        """Return the nodes that read the value `name`, in order."""
        return [node for node in self.nodes.values() if name in node.inputs]

    def only_reader(self, name: str) -> Node | None:
        """Return the one node that reads `name`; None when others, or the outputs, read it too."""
        readers = self.readers(name)
        if len(readers) != 1 or name in self.outputs or readers[0].inputs.count(name) != 1:
            return None
        return readers[0]

    def copy(self) -> Graph:
        """Return a graph whose nodes can be changed freely; tensors are shared, never written."""
        return Graph(
            {
                name: Node(
                    node.name,
                    node.op,
                    list(node.inputs),
                    dict(node.params),
                    dict(node.attrs),
                    node.shape,
                    node.source,
                )
                for name, node in self.nodes.items()
            },
            dict(self.params),
            list(self.inputs),
            list(self.outputs),
            self.output_names,
        )

    def unique_name(self, wish: str) -> str:
        """Return `wish`, or `wish:1`, `wish:2`, ... where it is taken."""
        if wish not in self.nodes:
            return wish
        number = 1
        while f"{wish}:{number}" in self.nodes:
            number += 1
        return f"{wish}:{number}"

    def add(self, node: Node) -> Node:
        """Append a node; return it."""
        if node.name in self.nodes:
            raise GraphError(f"two nodes are called '{node.name}'")
        self.nodes[node.name] = node
        return node

    def drop_unused(self) -> int:
        """Remove nodes that nothing reads and weights of no node; return how many nodes went."""
        needed = set(self.outputs) | set(self.inputs)
        for node in reversed(list(self.nodes.values())):
            if node.name in needed:
                needed.update(node.inputs)
        gone = [name for name in self.nodes if name not in needed]
        for name in gone:
            del self.nodes[name]
        used = {key for node in self.nodes.values() for key in node.params.values()}
        self.params = {key: value for key, value in self.params.items() if key in used}
        return len(gone)

    def reorder(self, order: Iterable[str]) -> None:
        """Put the nodes into the order given."""
        self.nodes = {name: self.nodes[name] for name in order}

    def _is_used(self, key: str) -> bool:
        return any(key in node.params.values() for node in self.nodes.values())
