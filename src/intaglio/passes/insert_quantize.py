"""Borders of float islands: nodes of their own where integer layers read values in float.

A graph never changes because of quantization but for nodes that the plan asks for; these are they.
The other border, from integers to float, needs none: a value is the same for all its float readers.
"""

from __future__ import annotations

from collections.abc import Collection

from intaglio.ir.edit import insert_after
from intaglio.ir.graph import Graph, Node
from intaglio.ops.verify import verify


def insert_quantize(graph: Graph, floats: Collection[str]) -> int:
    """Make every integer layer that reads a value in float read its `quantize` node instead.

    One such node serves all integer readers of a value. The function stays the same to the bit.

    Args:
        floats: Names of the values that stay float32.

    Returns:
        How many nodes were inserted; 0 when it is run again.
    """
    inserted = 0
    for node in graph:
        readers = [
            reader
            for reader in graph.readers(node.name)
            if reader.name not in floats and reader.op != "quantize"
        ]
        if node.name not in floats or not readers:
            continue
        name = graph.unique_name(f"{node.name}.quantize")
        made = Node(name, "quantize", [node.name], shape=node.shape, source=node.source)
        insert_after(graph, node.name, made)
        for reader in readers:
            _read_instead(reader, node.name, name)
        inserted += 1
    verify(graph)
    return inserted


def separate_constants(graph: Graph, floats: Collection[str]) -> int:
    """Give layers in float copies of the constants that integer layers read too.

    Returns:
        How many were copied; 0 when it is run again.
    """
    copied = 0
    for node in graph:
        if node.op != "constant":
            continue
        inside = [reader for reader in graph.readers(node.name) if reader.name in floats]
        outside = len(graph.readers(node.name)) > len(inside) or node.name in graph.outputs
        if not inside or not outside:
            continue
        name = graph.unique_name(f"{node.name}.float")
        made = Node(name, "constant", shape=node.shape, source=node.source)
        insert_after(graph, node.name, made)
        graph.set_param(made, "value", graph.param(node, "value"))
        for reader in inside:
            _read_instead(reader, node.name, name)
        copied += 1
    verify(graph)
    return copied


def _read_instead(reader: Node, old: str, new: str) -> None:
    reader.inputs = [new if name == old else name for name in reader.inputs]
