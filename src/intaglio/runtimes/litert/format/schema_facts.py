"""What the tables of a .tflite file hold, field by field, as the installed schema has it.

The schema is known by its generated module alone. In that, `XAddY(builder, value)` writes field Y
of table X: called with a builder that only takes notes, it says where the field lies and how wide
it is. What it cannot say, which table an offset leads to, is in the two lists here.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ai_edge_litert import schema_py_generated as schema


class Kind(Enum):
    """What lies in a field."""

    NUMBER = "a number in the table itself"
    STRING = "a string"
    NUMBERS = "a vector of numbers"
    TABLE = "a table"
    TABLES = "a vector of tables"
    UNION = "a table whose kind another field names"


@dataclass(frozen=True)
class Field:
    """One field of a table.

    Attributes:
        name: As the schema's accessors call it: "QuantizedDimension".
        slot: Its position in the vtable.
        kind: What lies in it.
        width: Bytes of its number, or of one element of its vector.
        number: How its number is read; None where it has none.
        default: Its value in a table that lacks it, for a number.
        table: The table that it leads to.
        members: Number of a union's type to its table.
    """

    name: str
    slot: int
    kind: Kind
    width: int = 4
    number: struct.Struct | None = None
    default: float = 0
    table: str = ""
    members: Mapping[int, str] = field(default_factory=dict)


TABLES = {
    ("Model", "OperatorCodes"): "OperatorCode",
    ("Model", "Subgraphs"): "SubGraph",
    ("Model", "Buffers"): "Buffer",
    ("Model", "Metadata"): "Metadata",
    ("Model", "SignatureDefs"): "SignatureDef",
    ("Model", "ExternalBufferGroups"): "ExternalBufferGroup",
    ("Model", "ExternalBuffers"): "ExternalBuffer",
    ("SubGraph", "Tensors"): "Tensor",
    ("SubGraph", "Operators"): "Operator",
    ("SignatureDef", "Inputs"): "TensorMap",
    ("SignatureDef", "Outputs"): "TensorMap",
    ("Tensor", "Quantization"): "QuantizationParameters",
    ("Tensor", "Sparsity"): "SparsityParameters",
    ("Tensor", "VariantTensors"): "VariantSubType",
    ("SparsityParameters", "DimMetadata"): "DimensionMetadata",
}
UNIONS = {
    ("Operator", "BuiltinOptions"): schema.BuiltinOptions,
    ("Operator", "BuiltinOptions2"): schema.BuiltinOptions2,
    ("QuantizationParameters", "Details"): schema.QuantizationDetails,
    ("DimensionMetadata", "ArraySegments"): schema.SparseIndexVector,
    ("DimensionMetadata", "ArrayIndices"): schema.SparseIndexVector,
}
NUMBERS = {
    "PrependBoolSlot": "<B",
    "PrependInt8Slot": "<b",
    "PrependUint8Slot": "<B",
    "PrependInt16Slot": "<h",
    "PrependUint16Slot": "<H",
    "PrependInt32Slot": "<i",
    "PrependUint32Slot": "<I",
    "PrependInt64Slot": "<q",
    "PrependUint64Slot": "<Q",
    "PrependFloat32Slot": "<f",
    "PrependFloat64Slot": "<d",
}
OFFSET = "PrependUOffsetTRelativeSlot"


@functools.cache
def fields_of(table: str) -> tuple[Field, ...]:
    """Return the fields of one of the schema's tables, in the order of its accessors."""
    accessors = vars(getattr(schema, table))
    writers = {name: getattr(schema, f"{table}Add{name}", None) for name in accessors}
    return tuple(_field(table, name, write) for name, write in writers.items() if write is not None)


def names_of(enumeration: type) -> dict[int, str]:
    """Return number to name of one of the schema's enumerations."""
    return {number: name for name, number in vars(enumeration).items() if isinstance(number, int)}


class _Notes:
    """Stands where the schema expects a flatbuffers.Builder, and keeps what was asked of it."""

    call: str
    arguments: tuple[Any, ...]

    def __getattr__(self, name: str) -> Callable[..., int]:
        def note(*arguments: Any) -> int:
            """Keep the call and its arguments; return 0 in the place of an offset."""
            self.call, self.arguments = name, arguments
            return 0

        return note


def _field(table: str, name: str, write: Callable[[Any, int], None]) -> Field:
    notes = _Notes()
    write(notes, 0)
    slot, _, default = notes.arguments
    if notes.call != OFFSET:
        number = struct.Struct(NUMBERS[notes.call])
        return Field(name, slot, Kind.NUMBER, number.size, number, default)
    key, begin_vector = (table, name), getattr(schema, f"{table}Start{name}Vector", None)
    if key in UNIONS:
        members = {number: other for number, other in names_of(UNIONS[key]).items() if number}
        return Field(name, slot, Kind.UNION, members=members)
    if key in TABLES:
        kind = Kind.TABLE if begin_vector is None else Kind.TABLES
        return Field(name, slot, kind, table=TABLES[key])
    if begin_vector is None:
        return Field(name, slot, Kind.STRING, width=1)
    begin_vector(notes, 0)
    return Field(name, slot, Kind.NUMBERS, width=notes.arguments[0])
