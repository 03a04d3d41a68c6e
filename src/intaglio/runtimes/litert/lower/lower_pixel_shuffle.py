"""Pixel shuffles: torch's order of channels is brought to DEPTH_TO_SPACE's in the layer before.

torch's pixel_shuffle reads channel c b^2 + i b + j for pixel (i, j) of channel c, DEPTH_TO_SPACE
channel (i b + j) C + c. The layer that makes the channels can make them in any order.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.ir.edit import replace
from intaglio.ir.graph import Graph, Node
from intaglio.ops.traits import TRAITS
from intaglio.passes.graph_pass import graph_pass


@dataclass(frozen=True)
class Shuffle:
    """A pixel shuffle as it stands in a graph.

    Attributes:
        source: The value with C b^2 channels.
        block: b.
    """

    source: str
    block: int


@graph_pass
def lower_pixel_shuffle(graph: Graph) -> int:
    """Make pixel shuffles DEPTH_TO_SPACE where the layer before can make channels in its order.

    That is a convolution, or an affine, that only the shuffle reads, directly or behind functions
    of single values. Other shuffles stay moves of axes, which the delegate takes as well, as one
    transposition of six axes.
    """
    changed = 0
    for node in graph:
        found = _found(graph, node)
        if found is None:
            continue
        channels = graph[found.source].channels
        order = torch.arange(channels).reshape(-1, found.block**2).T.flatten()
        if _reorder(graph, found.source, order):
            _as_depth_to_space(graph, node, found)
            changed += 1
        elif node.op == "depth_to_space":
            _as_transposition(graph, node, found)
            changed += 1
    graph.drop_unused()
    return changed


def _found(graph: Graph, node: Node) -> Shuffle | None:
    """Return the shuffle that a node ends: of six axes, or DEPTH_TO_SPACE of reordered channels."""
    chain = _chain(graph, node)
    if chain is None:
        return None
    apart, turned, last = chain
    source = graph[apart.inputs[0]]
    if len(source.shape) != 4:
        return None
    channels, height, width = source.shape[1:]
    if last is not node:  # a depth_to_space behind
        block = node.attrs["block"]
        parts = (channels // block**2, block**2, height, width)
        wanted = (apart.shape[1:] == parts, turned.attrs["order"] == (0, 2, 1, 3, 4))
        return Shuffle(source.name, block) if all(wanted) and last.shape == source.shape else None
    if len(apart.shape) != 6 or turned.attrs["order"] != (0, 1, 4, 2, 5, 3):
        return None
    block = apart.shape[2]
    blocks = (channels // block**2, block, block, height, width)
    whole = (blocks[0], height * block, width * block)
    same = apart.shape[1:] == blocks and node.shape[1:] == whole
    return Shuffle(source.name, block) if same else None


def _chain(graph: Graph, node: Node) -> tuple[Node, Node, Node] | None:
    """Return (reshape, transpose, reshape) that end at a node, or at the DEPTH_TO_SPACE's input."""
    last = graph[node.inputs[0]] if node.op == "depth_to_space" else node
    if last.op != "reshape":
        return None
    turned = graph[last.inputs[0]]
    if turned.op != "transpose" or graph[turned.inputs[0]].op != "reshape":
        return None
    return graph[turned.inputs[0]], turned, last


def _reorder(graph: Graph, name: str, order: Tensor) -> bool:
    """Let the layer that makes a value make its channels in an order; return whether it could."""
    chain = [graph[name]]
    while _is_single_valued(graph, chain[-1]):
        chain.append(graph[chain[-1].inputs[0]])
    layer = chain[-1]
    if any(node.name in graph.outputs or len(graph.readers(node.name)) != 1 for node in chain):
        return False
    if layer.op not in ("conv2d", "affine") or layer.attrs.get("groups", 1) != 1:
        return False
    for node in chain:
        for role in list(node.params):
            value = graph.param(node, role)
            if len(value) == len(order):
                graph.set_param(node, role, value[order])
    return True


def _is_single_valued(graph: Graph, node: Node) -> bool:
    """Whether each value of a node is a function of one value of its only input."""
    traits = TRAITS[node.op]
    apart = traits.values == "computed" and (traits.channels, traits.places) == ("apart", "same")
    return apart and len(node.inputs) == 1 and node.op != "affine"


def _as_depth_to_space(graph: Graph, node: Node, found: Shuffle) -> None:
    block = {"block": found.block}
    made = Node(node.name, "depth_to_space", [found.source], {}, block, node.shape, node.source)
    replace(graph, node, made)


def _as_transposition(graph: Graph, node: Node, found: Shuffle) -> None:
    """Make a DEPTH_TO_SPACE of reordered channels one transposition: its nodes are used again."""
    chain = _chain(graph, node)
    assert chain is not None
    apart, turned, last = chain
    if any(graph.only_reader(each.name) is None for each in chain):
        return
    batch, channels, height, width = graph[found.source].shape
    block = found.block
    shape = (batch, channels // block**2, block, block, height, width)
    apart.attrs, apart.shape = {"shape": shape}, shape
    turned.attrs = {"order": (0, 1, 4, 2, 5, 3)}
    turned.shape = (batch, shape[1], height, block, width, block)
    last.attrs, last.shape = {"shape": node.shape}, node.shape
    made = Node(
        node.name, "reshape", list(last.inputs), {}, dict(last.attrs), node.shape, node.source
    )
    replace(graph, node, made)
