"""Only the part of a network behind one changed value, for a few images.

To ask what one changed value does to the outputs, everything before it need not be run again, nor
anything beside it. Going through the network once, the values that are alive at a node (that
something behind it still reads) are all that is needed for the part behind it; no others are held.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.cost.macs import count_macs
from intaglio.ir.graph import Graph, Node
from intaglio.methods.steps.held_values import FLOAT_BYTES
from intaglio.methods.steps.paired_walk import largest_live_values
from intaglio.ops import OPS
from intaglio.run.float import channels_last, in_layout, run_node
from intaglio.run.twin import IMAGES_AT_ONCE


@dataclass(frozen=True, eq=False)
class Place:
    """A node that was just computed, and what is alive then.

    Attributes:
        graph: The network, weights channels last in memory.
        node: The node.
        values: Its value, pieces [n, ...] of at most IMAGES_AT_ONCE images each.
        inputs: For each piece, the values that it read.
        live: Values by name that the part of the network behind it reads; pieces as above.
        behind: The nodes that depend on it, and what they need that is not computed yet, in order.
    """

    graph: Graph
    node: Node
    values: list[Tensor]
    inputs: list[list[Tensor]]
    live: Mapping[str, list[Tensor]]
    behind: tuple[Node, ...]

    def computed(self, index: int, params: Mapping[str, Tensor]) -> Tensor:
        """Return one piece of the node's value with other weights, by role."""
        return OPS[self.node.op].function(self.node, self.inputs[index], dict(params))

    def outputs(self, index: int, value: Tensor) -> list[Tensor]:
        """Return the network's outputs for one piece when the node's value is `value`."""
        own = {self.node.name: value}
        last = {name: node.name for node in self.behind for name in node.inputs}
        kept = set(self.graph.outputs)
        with torch.no_grad():
            for node in self.behind:
                inputs = [
                    own[name] if name in own else self.live[name][index] for name in node.inputs
                ]
                own[node.name] = run_node(self.graph, node, inputs)
                for name in node.inputs:
                    if last[name] == node.name and name not in kept:
                        own.pop(name, None)
        return [own[name] if name in own else self.live[name][index] for name in self.graph.outputs]


def places(graph: Graph, images: Tensor) -> Iterator[Place]:
    """Yield every node but inputs and constants, in order, all images computed at each.

    What is yielded holds only until the next one is asked for.

    Args:
        images: [N, C, H, W], as the network takes them.
    """
    graph = channels_last(graph)
    live: dict[str, list[Tensor]] = {}
    last_reader = {name: node.name for node in graph for name in node.inputs}
    pieces = [in_layout(piece) for piece in torch.split(images, IMAGES_AT_ONCE)]
    for node in graph:
        if node.op == "input":
            live[node.name] = pieces
            continue
        inputs = [[live[name][index] for name in node.inputs] for index in range(len(pieces))]
        with torch.no_grad():
            live[node.name] = [run_node(graph, node, values) for values in inputs]
        if node.op != "constant":
            made = live[node.name]
            yield Place(graph, node, made, inputs, live, _behind(graph, node))
        for name in (*node.inputs, node.name):
            if last_reader.get(name, node.name) == node.name and name not in graph.outputs:
                live.pop(name, None)


def shares_behind(graph: Graph) -> dict[str, float]:
    """Return what running a node and all behind it costs, 0..1 of a whole run, in multiply-adds."""
    macs = count_macs(graph)
    total = max(sum(macs.values()), 1)
    return {
        node.name: (macs[node.name] + sum(macs[other.name] for other in _behind(graph, node)))
        / total
        for node in graph
    }


def images_alive_within(graph: Graph, memory_mb: int) -> int:
    """Return how many images' float values fit the memory; at least IMAGES_AT_ONCE."""
    per_image = largest_live_values(graph) * FLOAT_BYTES
    return max(IMAGES_AT_ONCE, int(memory_mb * 1e6 // per_image))


def _behind(graph: Graph, node: Node) -> tuple[Node, ...]:
    """Return the later nodes that depend on a node, and the later ones that those need besides."""
    order = list(graph)
    later = order[order.index(node) + 1 :]
    reached, needed = {node.name}, set(graph.outputs)
    for other in later:
        if any(name in reached for name in other.inputs):
            reached.add(other.name)
    for other in reversed(later):
        if other.name in reached or other.name in needed:
            needed |= {other.name, *other.inputs}
    return tuple(other for other in later if other.name in reached or other.name in needed)
