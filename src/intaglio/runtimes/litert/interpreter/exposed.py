"""Copies of a .tflite file that give other tensors: the check runs them beside the file."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from intaglio.runtimes.litert.format.layout import Array

SUBGRAPH_OUTPUTS = 8  # places of fields in the vtables of SubGraph and of Model
MODEL_SIGNATURES = 18


def expose_tensors(data: bytes) -> bytes:
    """Return a copy of a file in which every int8 tensor that an operator makes is an output.

    Under the delegate inner tensors have no memory that could be read; outputs have, and the file
    still runs as one partition (kernels.md, section 6). Two vectors are appended, the outputs and
    an empty one of signatures, and the file is made to point to them: all else stays byte for byte
    what is shipped, and a large file is not taken apart.
    """
    return giving(data, _outputs(schema.Model.GetRootAs(data, 0).Subgraphs(0)))


def giving(data: bytes, outputs: Sequence[int]) -> bytes:
    """Return a copy of a file whose outputs are these tensors, and that has no signature.

    The operators are all there, and all are run: those behind the tensors too.
    """
    model = schema.Model.GetRootAs(data, 0)
    copy = bytearray(data)
    _point(copy, model.Subgraphs(0)._tab, SUBGRAPH_OUTPUTS, list(outputs))
    _point(copy, model._tab, MODEL_SIGNATURES, [])
    return bytes(copy)


def _outputs(subgraph: Any) -> list[int]:
    """Return the outputs of the subgraph, then what else of int8 its operators make."""
    kept = _integers(subgraph.OutputsAsNumpy())
    operators = [subgraph.Operators(index) for index in range(subgraph.OperatorsLength())]
    made = [index for operator in operators for index in _integers(operator.OutputsAsNumpy())]
    inner = [index for index in made if index not in kept]
    int8 = schema.TensorType.INT8
    return kept + [index for index in inner if subgraph.Tensors(index).Type() == int8]


def _integers(vector: Array | int) -> list[int]:
    """Return a vector of the schema, which is the number 0 where the file has none."""
    return [] if isinstance(vector, int) else [int(value) for value in vector]


def _point(copy: bytearray, table: Any, field: int, values: list[int]) -> None:
    """Append a vector of int32 and make the field of a table point to it, where it has the field.

    An offset counts from its own place, forward only: what is appended can be reached from all.
    """
    slot = table.Offset(field)
    if not slot:
        return
    copy.extend(bytes(-len(copy) % 4))
    place = table.Pos + slot
    struct.pack_into("<I", copy, place, len(copy) - place)
    copy.extend(struct.pack("<I", len(values)) + np.asarray(values, "<i4").tobytes())
