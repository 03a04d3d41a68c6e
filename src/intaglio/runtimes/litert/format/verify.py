"""Whether a .tflite file may be given to native code: its size, its structure, then its meaning.

The interpreter trusts the file: a wrong offset, index or length in it is a read or a write beyond
its memory. So nothing opens a file that was read from a disk before `verify` has passed it.

Source: schema.fbs of LiteRT 2.3.0 and what its model builder relies on
(tflite/core/interpreter_builder.cc).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ai_edge_litert import schema_py_generated as schema

from intaglio.errors import RequestError
from intaglio.runtimes.litert.format.builder import FILE_IDENTIFIER
from intaglio.runtimes.litert.format.flatbuffer import Reader, Record, Span
from intaglio.runtimes.litert.format.schema_facts import names_of

LARGEST_BYTES = 2**31 - 1
"""What the offsets of a flatbuffer reach; larger files, with data behind it, are refused."""
SMALLEST_BYTES = 8
LARGEST_TENSOR_BYTES = 2**31
MOST_AXES = 64
SCHEMA_VERSION = 3
SHOWN_LETTERS = 80
NO_TENSOR = -1
NO_OFFSET = 1
"""Buffers and options whose data is inside the flatbuffer have this, or 0, as their offset."""

TYPES = names_of(schema.TensorType)
OPERATORS = names_of(schema.BuiltinOperator)
BITS = {
    **dict.fromkeys(("INT2",), 2),
    **dict.fromkeys(("INT4", "UINT4"), 4),
    **dict.fromkeys(("INT8", "UINT8", "BOOL", "FLOAT8_E4M3FN", "FLOAT8_E5M2"), 8),
    **dict.fromkeys(("INT16", "UINT16", "FLOAT16", "BFLOAT16"), 16),
    **dict.fromkeys(("INT32", "UINT32", "FLOAT32"), 32),
    **dict.fromkeys(("INT64", "UINT64", "FLOAT64", "COMPLEX64"), 64),
    "COMPLEX128": 128,
}
"""Width of one element; STRING, RESOURCE and VARIANT have none."""
OPTIONAL_FROM = {
    "CONV_2D": 2,
    "DEPTHWISE_CONV_2D": 2,
    "FULLY_CONNECTED": 2,
    "CONV_3D": 2,
    "TRANSPOSE_CONV": 3,
    "CONV_3D_TRANSPOSE": 3,
    "SVDF": 3,
    "LSTM": 1,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 1,
    "BIDIRECTIONAL_SEQUENCE_LSTM": 1,
    "BIDIRECTIONAL_SEQUENCE_RNN": 1,
    "WHILE": 0,
    "STABLEHLO_COMPOSITE": 0,
    "CUSTOM": 0,
}
"""The first input of an operator that may be left out, as -1; other operators need all of them."""


def verify(content: bytes, where: str) -> None:
    """Pass a file whose every part can be read, by native code and by the schema's accessors.

    Args:
        where: The file's name, for messages.

    Raises:
        RequestError: If the file is too small, too large, no .tflite file, or damaged: one line
            that says what is wrong, where in the file, and the value seen.
    """
    if not SMALLEST_BYTES <= len(content) <= LARGEST_BYTES:
        raise RequestError(
            f"{where}: has {len(content)} bytes, and a .tflite file {SMALLEST_BYTES} to"
            f" {LARGEST_BYTES}"
        )
    reader = Reader(content, where)
    found = content[4:8]
    if found != FILE_IDENTIFIER:
        raise reader.refuse(f"bytes 4 to 7 are {found!r}, not {FILE_IDENTIFIER!r}")
    _Model(reader, reader.root("Model")).check()


@dataclass(frozen=True)
class _Model:
    """A file whose structure is whole, in search of its meaning."""

    reader: Reader
    root: Record

    def check(self) -> None:
        """Raise RequestError if the version, a part, or an index between parts has no meaning."""
        graphs, version = self.root.records("Subgraphs"), self.root["Version"]
        if version != SCHEMA_VERSION:
            raise self.reader.refuse(f"schema version {version}, not {SCHEMA_VERSION}")
        if not graphs:
            raise self.reader.refuse("it has no subgraph")
        if not self.reader.integers(graphs[0]["Inputs"]):
            raise self.reader.refuse("its subgraph 0 takes nothing")
        if not self.reader.integers(graphs[0]["Outputs"]):
            raise self.reader.refuse("its subgraph 0 gives nothing")
        for code in self.root.records("OperatorCodes"):
            self._operator_name(code)
        sizes = [self._buffer_size(buffer) for buffer in self.root.records("Buffers")]
        for number, graph in enumerate(graphs):
            _Graph(self, graph, f"subgraph {number}", sizes).check()
        self._metadata(len(sizes))
        for signature in self.root.records("SignatureDefs"):
            self._signature(signature, graphs)

    def within(self, indices: Iterable[int], count: int, what: str, first: int = 0) -> None:
        """Raise RequestError for the first index that is not in [first, count)."""
        for index in indices:
            if not first <= index < count:
                raise self.reader.refuse(f"{what} is {index}, of {count}")

    def operator_name(self, index: int) -> str:
        """Return the schema's name of an operator code."""
        return self._operator_name(self.root.records("OperatorCodes")[index])

    def outside(self, start: int, size: int, what: str) -> int:
        """Return the size of data that lies behind the flatbuffer, in the same file; 0 for none."""
        if start <= NO_OFFSET:
            return 0
        if start + size > len(self.reader.data):
            raise self.reader.refuse(
                f"{what} is said to lie at byte {start} with {size} bytes,"
                f" of {len(self.reader.data)}"
            )
        return size

    def _operator_name(self, code: Record) -> str:
        # files older than the wide field have 0 there, newer ones have at most 127 in the narrow
        number = max(code["BuiltinCode"], code["DeprecatedBuiltinCode"])
        if number not in OPERATORS or min(code["BuiltinCode"], code["DeprecatedBuiltinCode"]) < 0:
            raise self.reader.refuse(
                f"operator code {number} at byte {code.at} is none of LiteRT's"
            )
        return OPERATORS[number]

    def _buffer_size(self, buffer: Record) -> int:
        data: Span | None = buffer["Data"]
        if data is not None and data.length:
            return data.length
        return self.outside(buffer["Offset"], buffer["Size"], f"the buffer at byte {buffer.at}")

    def _metadata(self, buffers: int) -> None:
        for entry in self.root.records("Metadata"):
            self.within([entry["Buffer"]], buffers, f"the buffer of metadata {_named(entry)}")
        old = self.reader.integers(self.root["MetadataBuffer"])
        self.within(old, buffers, "a buffer of the metadata")

    def _signature(self, signature: Record, graphs: list[Record]) -> None:
        what = f"signature {_named(signature, 'SignatureKey')}"
        graph = signature["SubgraphIndex"]
        self.within([graph], len(graphs), f"the subgraph of {what}")
        count = len(graphs[graph].records("Tensors"))
        for entry in (*signature.records("Inputs"), *signature.records("Outputs")):
            self.within([entry["TensorIndex"]], count, f"tensor {_named(entry)} of {what}")


@dataclass(frozen=True)
class _Graph:
    """One subgraph; `sizes` are the bytes of every buffer of the file."""

    model: _Model
    graph: Record
    name: str
    sizes: list[int]

    def check(self) -> None:
        """Raise RequestError if a tensor, an operator or an index in it has no meaning."""
        tensors = self.graph.records("Tensors")
        for number, tensor in enumerate(tensors):
            what = f"tensor {number} {_named(tensor)} of {self.name}"
            _Tensor(self.model, tensor, what, len(tensors)).check(self.sizes)
        for end in ("Inputs", "Outputs"):
            indices = self.model.reader.integers(self.graph[end])
            self.model.within(
                indices, len(tensors), f"an index in the {end.lower()} of {self.name}"
            )
        held = set(self.model.reader.integers(self.graph["Inputs"]))
        for number, operator in enumerate(self.graph.records("Operators")):
            what = f"operator {number} of {self.name}"
            self._operator(operator, what, tensors)
            self._writes(operator, what, tensors, held)

    def _operator(self, operator: Record, what: str, tensors: list[Record]) -> None:
        within, read = self.model.within, self.model.reader.integers
        codes, count = len(self.model.root.records("OperatorCodes")), len(tensors)
        within([operator["OpcodeIndex"]], codes, f"the operator code of {what}")
        name = self.model.operator_name(operator["OpcodeIndex"])
        inputs = read(operator["Inputs"])
        needed = OPTIONAL_FROM.get(name, len(inputs))
        within(inputs[:needed], count, f"an input of {what} ({name})")
        within(inputs[needed:], count, f"an input of {what} ({name})", NO_TENSOR)
        within(read(operator["Outputs"]), count, f"an output of {what} ({name})")
        between = read(operator["Intermediates"])
        within(between, count, f"an intermediate of {what} ({name})", NO_TENSOR)
        self.model.outside(
            operator["LargeCustomOptionsOffset"], operator["LargeCustomOptionsSize"], what
        )

    def _writes(self, operator: Record, what: str, tensors: list[Record], held: set[int]) -> None:
        """Refuse an operator that writes into what has its values; add what it makes to `held`."""
        for index in self.model.reader.integers(operator["Outputs"]):
            if index in held or self.sizes[tensors[index]["Buffer"]]:
                raise self.model.reader.refuse(
                    f"{what} writes into tensor {index} {_named(tensors[index])}: a constant, an"
                    " input, or made before"
                )
            held.add(index)


@dataclass(frozen=True)
class _Tensor:
    """One tensor of a subgraph with `count` tensors."""

    model: _Model
    tensor: Record
    what: str
    count: int

    def check(self, sizes: list[int]) -> None:
        """Raise RequestError if its type, shape, size or grid has no meaning; `sizes` by buffer."""
        if self.tensor["Type"] not in TYPES:
            raise self._refuse(f"has the unknown type {self.tensor['Type']}")
        if self.tensor["ExternalBuffer"]:
            raise self._refuse("has its data in another file, which is not read")
        self.model.within([self.tensor["Buffer"]], len(sizes), f"the buffer of {self.what}")
        shape = self.model.reader.integers(self.tensor["Shape"])
        if min(shape, default=0) < 0 or len(shape) > MOST_AXES:
            raise self._refuse(f"has the shape {list(shape[:MOST_AXES])} with {len(shape)} axes")
        self._check_size(shape, sizes[self.tensor["Buffer"]])
        if self.tensor["Quantization"] is not None:
            self._check_quantization(self.tensor["Quantization"], shape)

    def _check_size(self, shape: tuple[int, ...], stored: int) -> None:
        bits = BITS.get(TYPES[self.tensor["Type"]])
        if bits is None:
            return
        needed = -(-math.prod(shape) * bits // 8)
        if needed > LARGEST_TENSOR_BYTES:
            raise self._refuse(
                f"has the shape {list(shape)}, {needed} bytes: the limit is {LARGEST_TENSOR_BYTES}"
            )
        if stored and stored != needed and self.tensor["Sparsity"] is None:
            raise self._refuse(f"has {stored} bytes, and its shape {list(shape)} needs {needed}")

    def _check_quantization(self, grid: Record, shape: tuple[int, ...]) -> None:
        scales, zeros = _count(grid["Scale"]), _count(grid["ZeroPoint"])
        if scales != zeros and scales:
            raise self._refuse(f"has {scales} scales and {zeros} zero points")
        if any(not 0 <= scale < math.inf for scale in self.model.reader.reals(grid["Scale"])):
            raise self._refuse("has a scale that is negative or no number")
        axis = grid["QuantizedDimension"]
        if scales > 1:
            if not 0 <= axis < len(shape):
                raise self._refuse(f"has scales along axis {axis} of the shape {list(shape)}")
            if scales != shape[axis]:
                raise self._refuse(f"has {scales} scales along {shape[axis]} of axis {axis}")
        details = grid["Details"]
        if details is not None and details.kind == "BlockwiseQuantization":
            self.model.within([details["Scales"]], self.count, f"the scales of {self.what}")
            zeros_of = f"the zero points of {self.what}"
            self.model.within([details["ZeroPoints"]], self.count, zeros_of, NO_TENSOR)

    def _refuse(self, problem: str) -> RequestError:
        return self.model.reader.refuse(f"{self.what} {problem}")


def _count(span: Span | None) -> int:
    return 0 if span is None else span.length


def _named(record: Record, field: str = "Name") -> str:
    name = record[field] or ""
    return f"'{name if len(name) <= SHOWN_LETTERS else name[:SHOWN_LETTERS] + '...'}'"
