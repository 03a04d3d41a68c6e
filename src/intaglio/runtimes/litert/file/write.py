"""The whole file: input, every node, outputs, metadata."""

from __future__ import annotations

from intaglio.errors import UnsupportedByTarget
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.encodings import Encodings
from intaglio.runtimes.litert.file.bits import unheld
from intaglio.runtimes.litert.format.builder import TfliteBuilder
from intaglio.runtimes.litert.format.layout import file_shape
from intaglio.runtimes.litert.ops.site import FUSED_ACTIVATIONS
from intaglio.runtimes.litert.ops.writing import TFLITE_OPS, Writing
from intaglio.targets.target import Target

DESCRIPTION = "int8 network written by intaglio"
UNBOUNDED = (float("-inf"), float("inf"))


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
            "int8": it takes and gives integers, but for ends that are kept in float.
        metadata: Named buffers to store in the file.

    Raises:
        UnsupportedByTarget: If the file cannot hold a node, or its bits; names the user's layer.
    """
    for refusal in unheld(graph, encodings, target):
        raise refusal
    build = TfliteBuilder()
    writing = Writing(graph, encodings, target.name, build)
    for node in graph:
        if node.op == "input":
            _write_input(node, writing, build, io)
        else:
            write_node(node, writing)
    for name in graph.outputs:
        build.outputs.append(writing.index[name] if io == "int8" else writing.real(name))
    if graph.output_names:
        build.input_names, build.output_names = list(graph.inputs), list(graph.output_names)
    build.metadata.update(metadata or {})
    return build.pack(DESCRIPTION)


def write_node(node: Node, writing: Writing) -> None:
    """Write one node but an input; raise UnsupportedByTarget where the file cannot hold it."""
    if node.op not in TFLITE_OPS:
        raise _unknown(node, writing)
    if writing.is_float(node.name):
        _refuse_unsaid_clamp(node, writing)
    TFLITE_OPS[node.op](node, writing)


def _kind(node: Node) -> str:
    """Return what an op is called in messages: an unknown one by its ATen name."""
    return str(node.attrs["call"]) if node.op == "opaque" else node.op


def _unknown(node: Node, writing: Writing) -> UnsupportedByTarget:
    form = "operator in the file for it" if writing.is_float(node.name) else "integer form of it"
    return UnsupportedByTarget(
        node.source or node.name,
        _kind(node),
        writing.target,
        reason=f"there is no {form}",
        try_instead="Replace it in the network by an op that intaglio holds (docs/ops.md)",
    )


def _refuse_unsaid_clamp(node: Node, writing: Writing) -> None:
    """Raise UnsupportedByTarget for a clamp without a word: in float no grid's end does it."""
    activation = node.attrs.get("activation")
    if activation is not None and activation not in (*FUSED_ACTIVATIONS, UNBOUNDED):
        raise writing.refuse(
            node,
            f"a clamp to {activation} in float, for which the file has no word",
            "Leave it to be quantized (take it out of keep_float)",
        )


def _write_input(node: Node, writing: Writing, build: TfliteBuilder, io: str) -> None:
    if io == "int8" and not writing.is_float(node.name):
        build.inputs.append(writing.output(node))
        return
    real = build.tensor(f"{node.name}.float", file_shape(node.shape), "float32")
    build.inputs.append(real)
    if writing.is_float(node.name):
        writing.index[node.name] = real
    else:
        build.operator("QUANTIZE", [real], [writing.output(node)], version=1)
