"""Reading a flatbuffer of which every byte may be wrong.

Every offset is looked at before it is followed: it must lie inside the bytes, be aligned as the
flatbuffers verifier demands (a number to its own width, an offset and the length of a vector to 4,
a vtable to 2), and what it leads to must end inside of them too. What is read is read once; a file
in which the same bytes are reached again and again ends at a limit, not in hours.

Source: flatbuffers 25.12, include/flatbuffers/verifier.h. Stricter than that: strings are UTF-8, a
field lies inside of its table, and the limits below.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from intaglio.errors import RequestError
from intaglio.runtimes.litert.format.schema_facts import Field, Kind, fields_of

MAX_TABLES = 200_000
"""More than ten times those of the largest language models on phones; read in about 2 seconds."""
MAX_DEPTH = 64
OVERLAP = 4
"""How often every byte may be reached on average: LiteRT's zero points are shared by layers."""
SPARE_BYTES = 1 << 16
MAX_OFFSET = 2**31 - 1
MAX_NAME = 1 << 16
MAX_NUMBERS = 1 << 20
"""Of a vector of indices, sizes or scales: a scale for each row of a large vocabulary."""

U16, U32, I32 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<i")


class Span(NamedTuple):
    """A vector of numbers where it lies: offset of its first element, how many, bytes of one."""

    start: int
    length: int
    width: int


@dataclass(frozen=True)
class Record:
    """A table that was read.

    Attributes:
        kind: Its name in the schema.
        at: Where it begins, in bytes from the start.
        values: Every field of the schema: a number, a string, a Span, a Record, a list of Records;
            None for what the table lacks, but for numbers, which then have their default.
    """

    kind: str
    at: int
    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def records(self, name: str) -> list[Record]:
        """Return the tables in a field; none where the field is absent."""
        return self.values[name] or []


class Reader:
    """Reads the tables of one file.

    Args:
        data: The whole file.
        where: Its name, for messages.
    """

    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.where = data, where
        self._size = len(data)
        self._tables_left = MAX_TABLES
        self._bytes_left = OVERLAP * self._size + SPARE_BYTES
        self._vtables: dict[int, tuple[tuple[int, ...], int]] = {}

    def refuse(self, what: str) -> RequestError:
        """Return the error for damage: what is wrong, where in the file, the value seen."""
        return RequestError(f"{self.where}: damaged, or no .tflite file: {what}")

    def root(self, table: str) -> Record:
        """Return the table that the file's first four bytes lead to, and all that it holds.

        Raises:
            RequestError: If anything that can be reached does not lie well inside the file.
        """
        return self._table(self._target(0, "the root"), table, 0)

    def integers(self, span: Span | None) -> tuple[int, ...]:
        """Return the int32 values of a vector of indices or sizes; none where it is absent."""
        return self._numbers(span, "i")

    def reals(self, span: Span | None) -> tuple[float, ...]:
        """Return the float32 values of a vector; none where it is absent."""
        return self._numbers(span, "f")

    def _numbers(self, span: Span | None, letter: str) -> tuple[Any, ...]:
        if span is None:
            return ()
        if span.length > MAX_NUMBERS:
            raise self.refuse(
                f"{span.length} numbers at byte {span.start}: the limit {MAX_NUMBERS}"
            )
        return struct.unpack_from(f"<{span.length}{letter}", self.data, span.start)

    def _table(self, at: int, kind: str, depth: int) -> Record:
        self._tables_left -= 1
        if self._tables_left < 0 or depth > MAX_DEPTH:
            raise self.refuse(f"more than {MAX_TABLES} tables, or deeper than {MAX_DEPTH}")
        slots, inline = self._vtable(at, kind)
        self._spend(inline)
        values: dict[str, Any] = {}
        for entry in fields_of(kind):
            offset = slots[entry.slot] if entry.slot < len(slots) else 0
            if not offset:
                values[entry.name] = entry.default if entry.kind is Kind.NUMBER else None
                continue
            place = at + offset
            if offset < 4 or offset + _own_width(entry) > inline or place % _own_width(entry):
                raise self.refuse(
                    f"field {entry.name} of {kind} at byte {at} lies at {offset} in its {inline}"
                    " bytes"
                )
            values[entry.name] = self._value(place, kind, entry, values, depth)
        return Record(kind, at, values)

    def _value(
        self, place: int, kind: str, entry: Field, earlier: Mapping[str, Any], depth: int
    ) -> Any:
        """Return what lies in a field whose own bytes, at `place`, are inside the file."""
        if entry.number is not None:
            return entry.number.unpack_from(self.data, place)[0]
        what = f"{kind}.{entry.name}"
        at = self._target(place, what)
        if entry.kind is Kind.TABLE:
            return self._table(at, entry.table, depth + 1)
        if entry.kind is Kind.UNION:
            chosen = earlier[f"{entry.name}Type"]
            if chosen not in entry.members:
                raise self.refuse(f"{what} at byte {place} is of the unknown kind {chosen}")
            return self._table(at, entry.members[chosen], depth + 1)
        span = self._vector(at, entry.width, what)
        if entry.kind is Kind.TABLES:
            return [self._table(item, entry.table, depth + 1) for item in self._targets(span, what)]
        return self._string(span, what) if entry.kind is Kind.STRING else span

    def _vtable(self, at: int, kind: str) -> tuple[tuple[int, ...], int]:
        """Return the vtable of the table at `at`: offset of every slot, and the table's bytes."""
        if at % 4 or at + 4 > self._size:
            raise self.refuse(f"a table {kind} at byte {at} of {self._size}")
        start = at - I32.unpack_from(self.data, at)[0]
        if start not in self._vtables:
            if start % 2 or start < 0 or start + 4 > self._size:
                raise self.refuse(f"the vtable of {kind} at byte {at} is said to lie at {start}")
            size, inline = struct.unpack_from("<HH", self.data, start)
            if size < 4 or size % 2 or start + size > self._size or inline < 4:
                raise self.refuse(f"the vtable of {kind} at byte {start} has a size of {size}")
            slots = struct.unpack_from(f"<{size // 2 - 2}H", self.data, start + 4)
            self._vtables[start] = slots, inline
        found = self._vtables[start]
        if at + found[1] > self._size:
            raise self.refuse(f"{kind} at byte {at} with {found[1]} bytes, of {self._size}")
        return found

    def _target(self, place: int, what: str) -> int:
        """Return where the offset at `place` leads to."""
        offset = U32.unpack_from(self.data, place)[0]
        if not 0 < offset <= MAX_OFFSET or place + offset + 4 > self._size:
            raise self.refuse(f"{what} at byte {place} leads {offset} bytes on, of {self._size}")
        return int(place + offset)

    def _targets(self, span: Span, what: str) -> Iterator[int]:
        for index in range(span.length):
            yield self._target(span.start + 4 * index, what)

    def _vector(self, at: int, width: int, what: str) -> Span:
        """Return the vector at `at`, which lies four bytes or more before the end."""
        count = U32.unpack_from(self.data, at)[0]
        start = at + 4
        if at % 4 or (count and start % width):
            raise self.refuse(f"{what} at byte {at} is not aligned")
        if start + count * width > self._size:
            raise self.refuse(
                f"{what} at byte {at} has {count} elements of {width} bytes, of {self._size}"
            )
        self._spend(4 + count * width)
        return Span(start, count, width)

    def _string(self, span: Span, what: str) -> str:
        end = span.start + span.length
        if span.length > MAX_NAME or end >= self._size or self.data[end]:
            raise self.refuse(f"{what} at byte {span.start} is {span.length} long, without its end")
        try:
            return str(self.data[span.start : end], "utf-8")
        except UnicodeDecodeError as error:
            raise self.refuse(f"{what} at byte {span.start} is no text") from error

    def _spend(self, size: int) -> None:
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise self.refuse(f"its tables reach {OVERLAP} times its {self._size} bytes")


def _own_width(entry: Field) -> int:
    """Return the bytes that a field takes in its table."""
    return entry.width if entry.kind is Kind.NUMBER else 4
