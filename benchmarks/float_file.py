"""The same network as a float32 .tflite: what an int8 file's latency is compared with."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from intaglio.job.result import Result
from intaglio.runtimes.litert.format.builder import FILE_IDENTIFIER

INT8, FLOAT32 = schema.TensorType.INT8, schema.TensorType.FLOAT32


def float_file(result: Result) -> bytes:
    """Return the file of `result` with every int8 tensor and its weights in float32.

    QUANTIZE and DEQUANTIZE go; operators, shapes and fused activations stay as they are.
    """
    model = schema.ModelT.InitFromPackedBuf(bytearray(result.content), 0)
    graph = model.subgraphs[0]
    ends = {schema.BuiltinOperator.QUANTIZE, schema.BuiltinOperator.DEQUANTIZE}
    renamed: dict[int, int] = {}
    kept = []
    for operator in graph.operators:
        if model.operatorCodes[operator.opcodeIndex].builtinCode in ends:
            renamed[int(operator.outputs[0])] = int(operator.inputs[0])
        else:
            kept.append(operator)
    for operator in kept:
        operator.inputs = [renamed.get(int(index), int(index)) for index in operator.inputs]
    graph.operators = kept
    graph.outputs = [renamed.get(int(index), int(index)) for index in graph.outputs]
    model.signatureDefs = []
    for tensor in graph.tensors:
        _to_float(tensor, model, result)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def _to_float(tensor: Any, model: Any, result: Result) -> None:
    name = tensor.name.decode()
    layer, _, role = name.rpartition(".")
    node = result.graph.nodes.get(layer)
    quantization, tensor.quantization = tensor.quantization, None
    if node is not None and role in ("weight", "bias") and role in node.params:
        values = result.graph.param(node, role).numpy()
        if values.ndim == 4:
            depthwise = tensor.shape[0] == 1 and values.shape[1] == 1
            values = values.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
        stored = np.ascontiguousarray(values, np.float32)
        model.buffers[tensor.buffer].data = np.frombuffer(stored.tobytes(), np.uint8)
        tensor.type = FLOAT32
    elif role == "bias" and node is not None:  # a layer without one has zeros in the file
        stored = np.zeros(tensor.shape, np.float32)
        model.buffers[tensor.buffer].data = np.frombuffer(stored.tobytes(), np.uint8)
        tensor.type = FLOAT32
    elif tensor.type == INT8:
        stored = model.buffers[tensor.buffer].data
        if stored is not None and len(stored):  # a constant, one scale for all of it
            integers = np.asarray(stored, np.uint8).view(np.int8).astype(np.float32)
            values = (integers - quantization.zeroPoint[0]) * quantization.scale[0]
            model.buffers[tensor.buffer].data = np.frombuffer(
                values.astype(np.float32).tobytes(), np.uint8
            )
        tensor.type = FLOAT32
