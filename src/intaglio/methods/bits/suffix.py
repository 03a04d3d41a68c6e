"""Only the part of a network behind one changed value, for a few images.

To ask what one changed value does to the outputs, everything before it need not be run again, nor
anything beside it. Going through the network once, the values that are alive at a node (that
something behind it still reads) are all that is needed for the part behind it; no others are held.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.cost.macs import count_macs
from intaglio.ir.graph import Graph, Node
from intaglio.methods.steps.held_values import FLOAT_BYTES
from intaglio.methods.steps.paired_walk import largest_live_values
from intaglio.ops import OPS
from intaglio.run.float import channels_last, in_layout, run_node
from intaglio.run.partial import Route, nodes_between
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
        behind: From it and what is alive to the network's outputs.
    """

    graph: Graph
    node: Node
    values: list[Tensor]
    inputs: list[list[Tensor]]
    live: Mapping[str, list[Tensor]]
    behind: Route

    def computed(self, index: int, params: Mapping[str, Tensor]) -> Tensor:
        """Return one piece of the node's value with other weights, by role."""
        return OPS[self.node.op].function(self.node, self.inputs[index], dict(params))

    def outputs(self, index: int, value: Tensor) -> list[Tensor]:
        """Return the network's outputs for one piece when the node's value is `value`."""
        given = {name: pieces[index] for name, pieces in self.live.items()}
        given[self.node.name] = value
        with torch.no_grad():
            made = self.behind.run(given, functools.partial(run_node, self.graph))
        return [made[name] for name in self.graph.outputs]


def places(graph: Graph, images: Tensor) -> Iterator[Place]:
    """Yield every node but inputs and constants, in order, all images computed at each.

    What is yielded holds only until the next one is asked for.

    Args:
        images: [N, C, H, W], as the network takes them.
    """
    graph = channels_last(graph)
    pieces = [in_layout(piece) for piece in torch.split(images, IMAGES_AT_ONCE)]

    def step(node: Node, inputs: Sequence[list[Tensor]]) -> list[Tensor]:
        """Return the node's value in float32, piece by piece."""
        with torch.no_grad():
            return [
                run_node(graph, node, [value[index] for value in inputs])
                for index in range(len(pieces))
            ]

    whole = Route.through(list(graph), graph.outputs)
    for node, live in whole.walk({graph.inputs[0]: pieces}, step):
        if node.op not in ("input", "constant"):
            inputs = [[live[name][index] for name in node.inputs] for index in range(len(pieces))]
            route = Route.through(_behind(graph, node), graph.outputs)
            yield Place(graph, node, live[node.name], inputs, live, route)


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


def _behind(graph: Graph, node: Node) -> list[Node]:
    """Return the later nodes that the network's outputs need."""
    order = list(graph.nodes)
    made = {*order[: order.index(node.name) + 1], *graph.inputs}
    return nodes_between(graph, made, graph.outputs)
