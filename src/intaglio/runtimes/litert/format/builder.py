"""A .tflite file under construction: tensors, buffers and operators, and nothing about networks.

The schema is the object API that ai-edge-litert ships (`ai_edge_litert.schema_py_generated`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from intaglio.numerics.spec import QuantParams
from intaglio.runtimes.litert.format.layout import Array

FILE_IDENTIFIER = b"TFL3"

TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int32": schema.TensorType.INT32,
    "int4": schema.TensorType.INT4,
    "int2": schema.TensorType.INT2,
    "bool": schema.TensorType.BOOL,
}
WORDS = {
    "padding": schema.Padding,
    "fusedActivationFunction": schema.ActivationFunctionType,
}
"""Fields of options whose values the schema has words for."""
TYPED = ("inDataType", "outDataType", "outputType")
"""Fields of options that are types of tensors."""


def _number(name: str, value: Any) -> Any:
    """Return a field's value as the schema has it."""
    if name in WORDS:
        return getattr(WORDS[name], value)
    return TYPES[value] if name in TYPED else value


class SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]  # it has no types
    """Writes equal vectors of zero points once.

    LiteRT insists on eight bytes for every channel of a weight and again of its bias, all 0: a
    fourteenth of an int8 MobileNetV2, an eighth of one with int4 weights.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._written: dict[bytes, int] = {}

    def CreateNumpyVector(self, values: Array) -> int:  # noqa: N802  # the library's name
        """Return the offset of a vector; for int64, of an equal one that is there already."""
        if values.dtype != np.int64:
            return int(super().CreateNumpyVector(values))
        key = values.tobytes()
        if key not in self._written:
            self._written[key] = int(super().CreateNumpyVector(values))
        return self._written[key]


@dataclass
class TfliteBuilder:
    """Collects tensors and operators, then packs them.

    Attributes:
        tensors, operators: In the order they were added.
        inputs, outputs: Indices of the file's input and output tensors.
        input_names, output_names: What the file's signature calls them; where empty, as the
            tensors are called.
        metadata: Name to bytes, stored as buffers of their own.
    """

    tensors: list[Any] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    input_names: list[str] = field(default_factory=list)
    output_names: list[str] = field(default_factory=list)
    metadata: dict[str, bytes] = field(default_factory=dict)
    _codes: dict[tuple[int, int, str], int] = field(default_factory=dict)
    _buffers: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._buffers.append(schema.BufferT())  # buffer 0 is "no data" by convention

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        kind: str,
        params: QuantParams | None = None,
        axis: int = 0,
    ) -> int:
        """Add a tensor without data; return its index.

        Args:
            kind: "float32", "float16", "int8", "uint8", "int32", "int4", "int2" or "bool".
            params: Its grid; several scales lie along `axis`.
        """
        made = schema.TensorT()
        made.name, made.shape, made.type = name, list(shape), TYPES[kind]
        made.hasRank = True
        if params is not None:
            scales = params.scale.reshape(-1).tolist()
            zeros = params.zero_point.reshape(-1).tolist()
            made.quantization = self.quantization(scales, zeros, axis)
        self.tensors.append(made)
        return len(self.tensors) - 1

    def stored(
        self,
        name: str,
        values: Array,
        params: QuantParams | None = None,
        axis: int = 0,
    ) -> int:
        """Add a tensor with data (int8, int32 or float32); return its index."""
        index = self.tensor(name, values.shape, str(values.dtype), params, axis)
        self.tensors[index].buffer = self._buffer(np.ascontiguousarray(values).tobytes())
        return index

    def packed(
        self, name: str, shape: tuple[int, ...], data: Array, params: QuantParams, *, bits: int
    ) -> int:
        """Add a tensor of 4 or 2 bits with its packed bytes, scales along axis 0; return its index.

        Args:
            shape: Of the integers, not of the bytes.
            data: uint8, as `pack_integers` makes them.
        """
        index = self.tensor(name, shape, f"int{bits}", params)
        self.tensors[index].buffer = self._buffer(data.tobytes())
        return index

    @staticmethod
    def quantization(scales: list[float], zero_points: list[int], axis: int) -> Any:
        """Return the schema's record of a grid."""
        made = schema.QuantizationParametersT()
        made.scale = np.asarray(scales, np.float32)
        made.zeroPoint = np.asarray(zero_points, np.int64)
        made.quantizedDimension = axis
        return made

    @staticmethod
    def options(kind: str, **values: Any) -> Any:
        """Return the schema's record of an operator's options ("Conv2DOptions") with fields set.

        Paddings, activations and types are given by their words ("SAME", "RELU6", "bool").
        """
        made = getattr(schema, f"{kind}T")()
        for name, value in values.items():
            if not hasattr(made, name):
                raise AttributeError(f"{kind} has no field {name}")
            setattr(made, name, _number(name, value))
        return made

    def operator(
        self,
        word: str,
        inputs: list[int],
        outputs: list[int],
        *,
        version: int,
        options: Any = None,
    ) -> None:
        """Add an operator, named as in the schema ("CONV_2D"), with its options object."""
        made = schema.OperatorT()
        made.opcodeIndex = self._code(getattr(schema.BuiltinOperator, word), version)
        made.inputs, made.outputs = inputs, outputs
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            made.builtinOptions = options
        self.operators.append(made)

    def custom(self, name: str, inputs: list[int], outputs: list[int], options: bytes) -> None:
        """Add an operator that the schema has no word for, by the name that the runtime knows.

        Args:
            options: A flexbuffer.
        """
        made = schema.OperatorT()
        made.opcodeIndex = self._code(schema.BuiltinOperator.CUSTOM, 1, name)
        made.inputs, made.outputs = inputs, outputs
        made.customOptions = np.frombuffer(options, np.uint8)
        made.customOptionsFormat = schema.CustomOptionsFormat.FLEXBUFFERS
        self.operators.append(made)

    def pack(self, description: str) -> bytes:
        """Return the file's bytes; the same content gives the same bytes."""
        model = schema.ModelT()
        model.version, model.description = 3, description
        model.operatorCodes = [_operator_code(*key) for key in self._codes]
        model.subgraphs = [self._subgraph()]
        model.signatureDefs = [self._signature()]
        model.metadata = [self._metadata(name, data) for name, data in self.metadata.items()]
        model.buffers = self._buffers
        builder = SharingBuilder(1 << 20)
        builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
        return bytes(builder.Output())

    def _buffer(self, data: bytes) -> int:
        made = schema.BufferT()
        made.data = np.frombuffer(data, np.uint8)
        self._buffers.append(made)
        return len(self._buffers) - 1

    def _code(self, operator: int, version: int, custom: str = "") -> int:
        return self._codes.setdefault((operator, version, custom), len(self._codes))

    def _subgraph(self) -> Any:
        made = schema.SubGraphT()
        made.name = "main"
        made.tensors, made.operators = self.tensors, self.operators
        made.inputs, made.outputs = self.inputs, self.outputs
        return made

    def _signature(self) -> Any:
        made = schema.SignatureDefT()
        made.signatureKey, made.subgraphIndex = "serving_default", 0
        made.inputs = self._named(self.inputs, self.input_names)
        made.outputs = self._named(self.outputs, self.output_names)
        return made

    def _named(self, indices: list[int], names: list[str]) -> list[Any]:
        found = []
        for index, name in zip(
            indices, names or [self.tensors[index].name for index in indices], strict=True
        ):
            made = schema.TensorMapT()
            made.name, made.tensorIndex = name, index
            found.append(made)
        return found

    def _metadata(self, name: str, data: bytes) -> Any:
        made = schema.MetadataT()
        made.name, made.buffer = name, self._buffer(data)
        return made


def _operator_code(operator: int, version: int, custom: str) -> Any:
    made = schema.OperatorCodeT()
    made.builtinCode, made.version = operator, version
    made.deprecatedBuiltinCode = min(operator, 127)
    made.customCode = custom or None
    return made
