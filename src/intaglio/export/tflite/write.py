"""The whole file: input, every node, outputs, metadata."""

from __future__ import annotations

from intaglio.errors import UnsupportedByTarget
from intaglio.export.tflite import ops_functions, ops_values, ops_weights
from intaglio.export.tflite.layout import file_shape
from intaglio.export.tflite.writing import TFLITE_OPS, Writing
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.encodings import Encodings
from intaglio.targets.target import Target

__all__ = ["ops_functions", "ops_values", "ops_weights", "write_tflite"]

DESCRIPTION = "int8 network written by intaglio"


def write_tflite(
    graph: Graph,
    encodings: Encodings,
    target: Target,
    *,
    io: str = "float",
    metadata: dict[str, bytes] | None = None,
) -> bytes:
    """Return the .tflite file of a lowered graph.

    Args:
        io: "float": the file takes and gives float32 (QUANTIZE and DEQUANTIZE at its ends);
            "int8": it takes and gives integers.
        metadata: Named buffers to store in the file.

    Raises:
        UnsupportedByTarget: If the file cannot hold a node; names the user's layer.
    """
    writing = Writing(graph, encodings, target)
    for node in graph:
        if node.op == "input":
            _write_input(node, writing, io)
        elif node.op not in TFLITE_OPS:
            raise UnsupportedByTarget(
                node.source or node.name,
                _kind(node),
                target.name,
                reason="there is no integer form of it",
                try_instead="Replace it in the network by an op that intaglio holds (docs/ops.md)",
            )
        else:
            TFLITE_OPS[node.op](node, writing)
    for name in graph.outputs:
        writing.build.outputs.append(_output(name, writing, io))
    writing.build.metadata.update(metadata or {})
    return writing.build.pack(DESCRIPTION)


def _kind(node: Node) -> str:
    """Return what an op is called in messages: an unknown one by its ATen name."""
    return str(node.attrs["call"]) if node.op == "opaque" else node.op


def _write_input(node: Node, writing: Writing, io: str) -> None:
    shape = file_shape(node.shape)
    if io == "int8":
        writing.build.inputs.append(writing.output(node))
        return
    real = writing.build.tensor(f"{node.name}.float", shape, "float32")
    writing.build.inputs.append(real)
    writing.build.operator("QUANTIZE", [real], [writing.output(node)], version=1)


def _output(name: str, writing: Writing, io: str) -> int:
    index = writing.index[name]
    if io == "int8" or name not in writing.encodings.activations:
        return index
    shape = file_shape(writing.graph[name].shape)
    real = writing.build.tensor(f"{name}.float", shape, "float32")
    writing.build.operator("DEQUANTIZE", [index], [real], version=2)
    return real
