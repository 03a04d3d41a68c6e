"""The whole file: input, every node, outputs, metadata."""

from __future__ import annotations

from dataclasses import replace

from intaglio.errors import UnsupportedByTarget
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.encodings import Encodings
from intaglio.ops.unknown_call import REPLACE, why_node
from intaglio.runtimes.litert.file.bits import unheld
from intaglio.runtimes.litert.file.detection_end import write_end
from intaglio.runtimes.litert.file.detection_metadata import NAMES
from intaglio.runtimes.litert.file.end import End
from intaglio.runtimes.litert.file.map_end import GIVEN, MapEnd, write_map_end
from intaglio.runtimes.litert.file.metadata import DESCRIPTION, HALF_DESCRIPTION
from intaglio.runtimes.litert.format.builder import TfliteBuilder
from intaglio.runtimes.litert.format.layout import file_shape
from intaglio.runtimes.litert.ops.site import FUSED_ACTIVATIONS, arithmetic_of
from intaglio.runtimes.litert.ops.writing import FLOAT_OPS, NO_INTEGERS, TFLITE_OPS, Writing
from intaglio.targets.target import Target

UNBOUNDED = (float("-inf"), float("inf"))


def write_tflite(
    graph: Graph,
    encodings: Encodings,
    target: Target,
    *,
    io: str = "float",
    metadata: dict[str, bytes] | None = None,
    end: End | None = None,
) -> bytes:
    """Return the .tflite file of a lowered graph.

    Args:
        io: "float": the file takes and gives float32 (QUANTIZE and DEQUANTIZE at its ends);
            "int8": it takes and gives integers, but for ends that are kept in float;
            "uint8": as "int8", each integer 128 higher. A network in float16 has float ends alone.
        metadata: Named buffers to store in the file.
        end: How it ends whatever it takes, in boxes (float32) or classes of pixels (uint8); None:
            in the network's outputs.

    Raises:
        UnsupportedByTarget: If the file cannot hold a node, or its bits; names the user's layer.
    """
    for refusal in unheld(graph, encodings, target):
        raise refusal
    build = TfliteBuilder()
    writing = Writing(graph, encodings, target.name, build, arithmetic_of(target))
    for node in graph:
        if node.op == "input":
            _write_input(node, writing, build, io)
        else:
            write_node(node, writing)
    build.outputs, build.output_names = _write_ends(writing, io, end)
    if build.output_names:
        build.input_names = list(graph.inputs)
    build.metadata.update(metadata or {})
    return build.pack(DESCRIPTION if encodings.halves is None else HALF_DESCRIPTION)


def write_node(node: Node, writing: Writing) -> None:
    """Write one node but an input; raise UnsupportedByTarget where the file cannot hold it."""
    if writing.is_float(node.name):
        _write_float(node, writing)
    elif node.op in TFLITE_OPS:
        TFLITE_OPS[node.op](node, writing)
    else:
        raise _unknown(node, writing)


def _write_float(node: Node, writing: Writing) -> None:
    """Write a node that stays in float; a clamp that the file has no word for stands behind it."""
    if node.op not in FLOAT_OPS and node.op not in TFLITE_OPS:
        raise _unknown(node, writing)
    write = FLOAT_OPS[node.op] if node.op in FLOAT_OPS else TFLITE_OPS[node.op]
    activation = node.attrs.get("activation")
    if node.op == "clamp" or activation in (None, UNBOUNDED, *FUSED_ACTIVATIONS):
        write(node, writing)
        return
    plain = replace(node, name=f"{node.name}.unclamped", attrs={**node.attrs, "activation": None})
    write(plain, writing)
    clamp = Node(node.name, "clamp", [plain.name], {}, {"activation": activation}, node.shape)
    FLOAT_OPS["clamp"](clamp, writing)


def _unknown(node: Node, writing: Writing) -> UnsupportedByTarget:
    """Return the refusal of an op without a writer; of a call that intaglio does not know, why."""
    if node.op == "opaque":
        why = why_node(writing.graph, node)
        return writing.refuse(node, why.reason, why.remedy)
    if writing.is_float(node.name):
        return writing.refuse(node, "there is no operator in the file for it", REPLACE)
    if node.op in FLOAT_OPS:
        try:
            writing.refuse_integers(node)
        except UnsupportedByTarget as refusal:
            return refusal
    return writing.refuse(node, NO_INTEGERS, REPLACE)


def _write_input(node: Node, writing: Writing, build: TfliteBuilder, io: str) -> None:
    if io == "int8" and not writing.is_float(node.name):
        build.inputs.append(writing.output(node))
        return
    if io == "uint8" and not writing.is_float(node.name):
        build.inputs.append(_bytes_of(node.name, writing))
        build.operator("QUANTIZE", build.inputs[-1:], [writing.output(node)], version=1)
        return
    real = build.tensor(f"{node.name}.float", file_shape(node.shape), "float32")
    build.inputs.append(real)
    if writing.is_float(node.name):
        writing.index[node.name] = real
    else:
        build.operator("QUANTIZE", [real], [writing.output(node)], version=1)


def _write_ends(writing: Writing, io: str, end: End | None) -> tuple[list[int], list[str]]:
    """Return the tensors that the file gives, and what its signature calls them, or nothing."""
    graph = writing.graph
    if isinstance(end, MapEnd):
        return write_map_end(end, writing), [GIVEN]
    form = io if end is None else "float"
    ends = {name: _write_output(name, writing, form) for name in dict.fromkeys(graph.outputs)}
    given = [ends[name] for name in graph.outputs]
    if end is None:
        return given, list(graph.output_names)
    return write_end(end, given, writing), list(NAMES)


def _write_output(name: str, writing: Writing, io: str) -> int:
    """Return the tensor that the file gives for a value."""
    if io == "float":
        return writing.real(name)
    made = writing.index[name]
    if io == "int8" or writing.is_float(name):
        return made
    given = _bytes_of(name, writing)
    writing.build.operator("QUANTIZE", [made], [given], version=1)
    return given


def _bytes_of(name: str, writing: Writing) -> int:
    """Add the uint8 tensor of an end; return its index."""
    shape = file_shape(writing.graph[name].shape)
    return writing.build.tensor(f"{name}.uint8", shape, "uint8", writing.grid(name).unsigned())
