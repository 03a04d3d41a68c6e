"""Which values stay float32 in an integer network: float islands, and what belongs to them.

A layer is kept in float by the word of the user, or of a search (`keep_float`). With it go the
values that mean nothing without it: constants that it alone reads, the network's input, and what
only moves values from one such layer to the next. Each integer region around is then exact given
the runtime's own integers at its borders.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from intaglio.errors import RequestError, UnknownName
from intaglio.ir.graph import Graph, Node
from intaglio.ops.traits import GIVEN, MOVING, WEIGHTED
from intaglio.passes.insert_quantize import insert_quantize, separate_constants

ASKED = "asked for (keep_float)"
CHOSEN = "among the worst layers of a search that may leave some in float (allow_float)"
TAIL = "softmax at the network's end: it is cheap, and its integer form is coarse"
BETWEEN = "it only moves values from layers in float to others"
READ = "a layer in float reads it"
ENTRY = f"{READ}: the file takes float32"
NO_LAYERS = GIVEN | {"quantize"}
"""Ops that are no layer of the user's: those of borders are made here."""
NAMED = 5
"""How many names a message offers."""


def float_islands(graph: Graph, names: Sequence[str] = ()) -> dict[str, str]:
    """Return the values that stay float32, each with the reason, in the graph's order.

    Where integer layers read them, `quantize` nodes are put into the graph
    (passes/insert_quantize.py); a second run finds nothing left to do.

    Args:
        graph: A lowered graph.
        names: Layers to keep, as the user's module or the graph names them.

    Raises:
        UnknownName: If there is no such layer; offers the nearest.
        RequestError: If no layer with weights would be left to quantize.
    """
    found = {node.name: TAIL for node in graph if is_float_tail(graph, node)}
    asked = {node.name: ASKED for name in names for node in layers_called(graph, name)}
    if asked:
        _refuse_nothing_left(graph, asked)
        found |= asked
        found |= dict.fromkeys(_moved_between(graph, found), BETWEEN)
        separate_constants(graph, found)
        found |= _read_in_float(graph, found)
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


def _refuse_nothing_left(graph: Graph, asked: Mapping[str, str]) -> None:
    weighted = {node.name for node in graph if node.op in WEIGHTED}
    if weighted and weighted <= asked.keys():
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


def _read_in_float(graph: Graph, found: Mapping[str, str]) -> dict[str, str]:
    """Return the input and the constants that layers in float read, each with the reason."""
    return {
        node.name: ENTRY if node.op == "input" else READ
        for node in graph
        if node.op in GIVEN and any(reader.name in found for reader in graph.readers(node.name))
    }
