"""The installed LiteRT interpreter, in the configuration that a target names."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from intaglio.export.tflite.builder import FILE_IDENTIFIER
from intaglio.export.tflite.interpreter import not_delegated, open_plain, partitions, run_file
from intaglio.targets.target import Target

__all__ = ["expose_tensors", "not_delegated", "open_interpreter", "partitions", "run_file"]


def open_interpreter(data: bytes, target: Target, *, threads: int = 1) -> Any:
    """Return an interpreter of a file's bytes with its tensors allocated, in this process."""
    return open_plain(data, is_reference=target.arithmetic == "reference", threads=threads)


def expose_tensors(data: bytes) -> bytes:
    """Return a copy of a file in which every int8 tensor that an operator makes is an output.

    Under the delegate inner tensors have no memory that could be read; outputs have, and the file
    still runs as one partition (kernels.md, section 6).
    """
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    subgraph = model.subgraphs[0]
    kept = {int(index) for index in subgraph.outputs}
    operators = subgraph.operators or []
    made = [int(index) for operator in operators for index in _indices(operator.outputs)]
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


def _indices(vector: Any) -> Any:
    return () if vector is None else vector
