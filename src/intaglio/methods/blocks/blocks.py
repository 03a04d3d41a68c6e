"""The network cut into blocks: stretches between values that alone carry everything.

Behind a cut value nothing before it is read any more. What lies between two neighbouring cuts is
one region: a residual block, or a single node of a plain chain. Chains are joined into blocks that
end at a linear bottleneck (a value without activation) or when they have enough layers: so
MobileNetV2's inverted residuals are blocks, with or without a shortcut.

Source: the unit of reconstruction of BRECQ (Li et al. 2021, arXiv:2102.05426, section 3.2). There
blocks are the modules of a hand-written network; here they are found in the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from intaglio.ir.graph import Graph, Node
from intaglio.methods.blocks.windows import is_local
from intaglio.ops.traits import GIVEN, WEIGHTED
from intaglio.run.partial import last_readers

LAYERS_OF_A_CHAIN = 3
LAYERS_OF_A_REGION = 8
"""A region with more layers is cut into its single nodes: too much would hang on one result."""


@dataclass(frozen=True)
class Block:
    """Some nodes that are tuned together.

    Attributes:
        nodes: In the graph's order, constants left out.
        inputs: Values from outside that they read.
        outputs: Their values that are read outside, or that the network returns.
        layers: Those of them with weights.
        is_local: Whether a window of its result can be computed from windows of its inputs.
    """

    nodes: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layers: tuple[str, ...]
    is_local: bool

    @property
    def can_be_tuned(self) -> bool:
        """Whether it has weights, and one result to tune them by."""
        return bool(self.layers) and self.outputs == self.nodes[-1:]


def find_blocks(graph: Graph, layers_of_a_chain: int = LAYERS_OF_A_CHAIN) -> list[Block]:
    """Return blocks that hold every node but inputs and constants once, in the graph's order."""
    blocks: list[Block] = []
    chain: list[Node] = []
    regions = _regions(graph)
    for region, follower in zip(regions, [*regions[1:], []], strict=True):
        if len(region) > 1 and _layers(region):
            _close(graph, chain, blocks)
            blocks.extend(_blocks_of_region(graph, region))
            continue
        is_turn = bool(_layers(region)) and not _all_local(graph, chain)
        if is_turn or (_layers(chain) and not _all_local(graph, region)):
            _close(graph, chain, blocks)  # a last linear layer sees pooled images, not pictures
        chain.extend(region)
        is_bottleneck = bool(_layers(region)) and region[-1].attrs.get("activation") is None
        is_full = is_bottleneck or _layers(chain) >= layers_of_a_chain
        if is_full and not _is_function(graph, follower):
            _close(graph, chain, blocks)
    _close(graph, chain, blocks)
    return blocks


def make_block(graph: Graph, nodes: Sequence[Node]) -> Block:
    """Return the block of some nodes."""
    names = [node.name for node in nodes]
    inside = set(names)
    inputs = dict.fromkeys(
        source
        for node in nodes
        for source in node.inputs
        if source not in inside and graph[source].op != "constant"
    )
    read_outside = {
        source for node in graph if node.name not in inside for source in node.inputs
    } | set(graph.outputs)
    return Block(
        tuple(names),
        tuple(inputs),
        tuple(name for name in names if name in read_outside),
        tuple(node.name for node in nodes if node.op in WEIGHTED),
        _all_local(graph, nodes),
    )


def _regions(graph: Graph) -> list[list[Node]]:
    """Return the nodes between cut values, the cut value last in its region."""
    regions: list[list[Node]] = []
    region: list[Node] = []
    computed = [node for node in graph if node.op not in GIVEN]
    last_reader = last_readers(list(graph))
    live = {name for name in graph.inputs if last_reader[name] != name}
    for node in computed:
        region.append(node)
        live -= {source for source in node.inputs if last_reader[source] == node.name}
        if live <= {node.name}:
            regions.append(region)
            region = []
        if last_reader[node.name] != node.name:
            live.add(node.name)
    if region:
        regions.append(region)
    return regions


def _blocks_of_region(graph: Graph, region: Sequence[Node]) -> list[Block]:
    if _layers(region) <= LAYERS_OF_A_REGION:
        return [make_block(graph, region)]
    return [make_block(graph, [node]) for node in region]


def _is_function(graph: Graph, region: Sequence[Node]) -> bool:
    """Whether a region is an activation function of the value before it, such as hard-swish."""
    return bool(region) and not _layers(region) and _all_local(graph, region)


def _all_local(graph: Graph, nodes: Sequence[Node]) -> bool:
    return all(is_local(graph, node) for node in nodes)


def _layers(nodes: Sequence[Node]) -> int:
    return sum(node.op in WEIGHTED for node in nodes)


def _close(graph: Graph, chain: list[Node], blocks: list[Block]) -> None:
    if chain:
        blocks.append(make_block(graph, chain))
        chain.clear()
