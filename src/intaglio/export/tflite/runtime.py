"""The installed LiteRT interpreter, in the configuration that a target names."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from intaglio.export.tflite.builder import FILE_IDENTIFIER, Array
from intaglio.targets.target import Target


def open_interpreter(data: bytes, target: Target, *, threads: int = 1) -> Any:
    """Return an interpreter of a file's bytes with its tensors allocated."""
    resolver = (
        OpResolverType.BUILTIN_REF if target.arithmetic == "reference" else OpResolverType.AUTO
    )
    interpreter = Interpreter(
        model_content=data, num_threads=threads, experimental_op_resolver_type=resolver
    )
    interpreter.allocate_tensors()
    return interpreter


def run_file(interpreter: Any, image: Array) -> list[Array]:
    """Return the outputs for one image, already in the file's layout and type."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


def delegate_partitions(interpreter: Any) -> tuple[int, int]:
    """Return how many nodes of the execution plan are delegates, and how many are built-in kernels."""
    names = [detail["op_name"] for detail in interpreter._get_ops_details()]
    return sum(name == "DELEGATE" for name in names), sum(name != "DELEGATE" for name in names)


def expose_tensors(data: bytes) -> bytes:
    """Return a copy of a file in which every int8 tensor that an operator makes is an output.

    Under the delegate inner tensors have no memory that could be read; outputs have, and the file still
    runs as one partition (kernels.md, section 6).
    """
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    subgraph = model.subgraphs[0]
    kept = {int(index) for index in subgraph.outputs}
    made = [int(index) for operator in subgraph.operators for index in operator.outputs]
    extra = [
        index
        for index in made
        if index not in kept and subgraph.tensors[index].type == schema.TensorType.INT8
    ]
    subgraph.outputs = np.asarray([*subgraph.outputs, *extra], np.int32)
    model.signatureDefs = []
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())
