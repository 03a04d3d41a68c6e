"""Which values stay float32 in an integer network: float islands, and what belongs to them.

A layer is kept in float by the word of the user, or of a search (`keep_float`), or, at the
network's very end, because it is a softmax, the fixed weighted sum of one (DFL), or a concatenation
of unequal parts (float_tails.py). With it go the values that mean nothing without it: constants
that it alone reads, the network's input, and what only moves values from one such layer to the
next. Each integer region around is then exact given the runtime's own integers at its borders.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence, Set

from intaglio.errors import RequestError, UnknownName
from intaglio.ir.graph import Graph, Node
from intaglio.ops.traits import ELEMENTWISE, GIVEN, MOVING, WEIGHTED
from intaglio.passes.insert_quantize import insert_quantize, separate_constants

ASKED = "asked for (keep_float)"
SENSITIVE = "among the most sensitive layers, which recipe 'workflow' leaves in float"
CHOSEN = "among the worst layers of a search that may leave some in float (allow_float)"
TAIL = "softmax at the network's end: it is cheap, and its integer form is coarse"
SUM = "weighted sum of a softmax, from which only outputs are computed"
BETWEEN = "it only moves values from layers in float to others"
READ = "a layer in float reads it"
ENTRY = f"{READ}: the file takes float32"
NO_LAYERS = GIVEN | {"quantize"}
"""Ops that are no layer of the user's: those of borders are made here."""
NAMED = 5
"""How many names a message offers."""


def float_islands(
    graph: Graph, names: Sequence[str] = (), tails: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the values that stay float32, each with the reason, in the graph's order.

    Where integer layers read them, `quantize` nodes are put into the graph
    (passes/insert_quantize.py); a second run finds nothing left to do.

    Args:
        graph: A lowered graph.
        names: Layers to keep, as the user's module or the graph names them.
        tails: Concatenations at the network's end that stay in float too, each with the reason
            (float_tails.py).

    Raises:
        UnknownName: If there is no such layer; offers the nearest.
        RequestError: If no layer with weights would be left to quantize.
    """
    ends = {**float_ends(graph), **(tails or {})}
    asked = {node.name: ASKED for name in names for node in layers_called(graph, name)}
    if asked:
        _refuse_nothing_left(graph, ends | asked)
    found = ends | asked
    if found:
        found |= dict.fromkeys(_moved_between(graph, found), BETWEEN)
        separate_constants(graph, found)
        found |= _read_in_float(graph, found, ends.keys() - asked.keys())
        insert_quantize(graph, found)
    return {node.name: found[node.name] for node in graph if node.name in found}


def layers_called(graph: Graph, name: str) -> list[Node]:
    """Return the nodes of the layer that the user's module, or the graph, calls `name`.

    The name of a block means all layers in it.

    Raises:
        UnknownName: If there is none; offers the nearest names.
    """
    layers = [node for node in graph if node.op not in NO_LAYERS]
    found = [
        node
        for node in layers
        if name == node.name or (name and f"{node.source}.".startswith(f"{name}."))
    ]
    if found:
        return found
    known = list(dict.fromkeys(name for node in layers for name in (node.source, node.name)))
    near = difflib.get_close_matches(name, [other for other in known if other], n=3, cutoff=0.3)
    near = near or [node.name for node in layers][:NAMED]
    raise UnknownName(
        f"keep_float: unknown layer '{name}': did you mean {' or '.join(near)}? (A batch norm or"
        " an activation belongs to the layer before it)"
    )


def is_float_tail(graph: Graph, node: Node) -> bool:
    """Whether a node is a softmax that makes an output of the network and nothing else."""
    return node.op == "softmax" and node.name in graph.outputs and not graph.readers(node.name)


def float_ends(graph: Graph) -> dict[str, str]:
    """Return what stays in float by its place in the graph alone, each with the reason.

    A softmax that makes an output; a softmax whose values are only moved to weighted sums of one
    output channel, with the sums, where only outputs are computed from these without further
    weights (boxes from distributions, Li et al. 2020, arXiv:2006.04388: DFL).
    """
    found = {}
    for node in graph:
        if is_float_tail(graph, node):
            found[node.name] = TAIL
        elif node.op == "softmax" and node.name not in graph.outputs:
            sums = [reader for reader in _moved_to(graph, node) if _is_weighted_sum(graph, reader)]
            if sums and len(sums) == len(_moved_to(graph, node)) and _only_outputs(graph, sums):
                found |= {node.name: TAIL, **{each.name: SUM for each in sums}}
    return found


def only_moves(node: Node) -> bool:
    """Whether a node moves values and does nothing else."""
    return node.op in MOVING and node.attrs.get("activation") is None


def _moved_to(graph: Graph, node: Node) -> list[Node]:
    """Return what reads a value, directly or moved; what moves it to an output is such a reader."""
    found = []
    for reader in graph.readers(node.name):
        inside = only_moves(reader) and reader.name not in graph.outputs
        found += _moved_to(graph, reader) if inside else [reader]
    return found


def _is_weighted_sum(graph: Graph, node: Node) -> bool:
    """Whether a node is a 1x1 convolution of all channels into one."""
    if node.op != "conv2d":
        return False
    return tuple(graph.param(node, "weight").shape) == (1, graph[node.inputs[0]].channels, 1, 1)


def _only_outputs(graph: Graph, nodes: Sequence[Node]) -> bool:
    """Whether what is computed from the nodes is elementwise, or moved, down to the outputs."""
    waiting = list(nodes)
    for node in waiting:
        readers = [reader for reader in graph.readers(node.name) if reader not in waiting]
        if any(reader.op not in ELEMENTWISE | MOVING for reader in readers):
            return False
        waiting += readers
    return True


def _refuse_nothing_left(graph: Graph, floats: Mapping[str, str]) -> None:
    weighted = {node.name for node in graph if node.op in WEIGHTED}
    if weighted and weighted <= floats.keys():
        raise RequestError(
            f"keep_float names all {len(weighted)} layers with weights, so that scheme would have"
            " none to quantize: leave one of them out"
        )


def _moved_between(graph: Graph, found: Mapping[str, str]) -> set[str]:
    """Return what lies between values in float and only moves them: the largest such set."""
    between = {node.name for node in graph if node.op in MOVING} - found.keys()
    while True:
        inside = between | found.keys()
        lost = {
            name
            for name in between
            if not set(graph[name].inputs) <= inside
            or not all(reader.name in inside for reader in graph.readers(name))
        }
        if not lost:
            return between
        between -= lost


def _read_in_float(graph: Graph, found: Mapping[str, str], ends: Set[str]) -> dict[str, str]:
    """Return the input and the constants that layers in float read, each with the reason.

    What is in float by its place at the end reads the image as the integers that the file takes.
    """
    given = [node for node in graph if node.op in GIVEN]
    readers = {node.name: {reader.name for reader in graph.readers(node.name)} for node in given}
    return {
        node.name: ENTRY if node.op == "input" else READ
        for node in given
        if readers[node.name] & (found.keys() - (ends if node.op == "input" else set()))
    }
