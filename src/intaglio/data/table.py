"""CSV tables: manifests and lists of class names. UTF-8, quoted fields, a line of headings."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from intaglio.errors import DataError

LARGEST_CLASS_INDEX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table.

    Attributes:
        line: Line number in the file, counted from 1; of a field with line breaks, the last line.
        fields: Field by heading; other headings than the ones asked for are left out.
    """

    line: int
    fields: dict[str, str]


def read_table(path: Path, required: Sequence[str], *, optional: Sequence[str] = ()) -> list[Row]:
    """Return the lines of a CSV file; empty lines are passed over.

    Args:
        path: The file; a byte-order mark is accepted.
        required: Headings that must be there.
        optional: Headings that are returned where they are there.

    Raises:
        DataError: Naming file and line, if the file cannot be read, is not UTF-8 or not CSV, has
            no headings or no further line, lacks or doubles a heading, or a line has more or
            fewer fields than there are headings.
    """
    lines = list(_read_lines(path))
    if not lines:
        raise DataError(f"{path}: the file is empty; its first line must be {','.join(required)}")
    headings = [heading.strip() for heading in lines[0][1]]
    _check_headings(path, headings, required, optional)
    wanted = {name: headings.index(name) for name in (*required, *optional) if name in headings}
    rows = []
    for line, fields in lines[1:]:
        if len(fields) != len(headings):
            raise DataError(
                f"{path}: line {line} has {len(fields)} fields, the first line has"
                f" {len(headings)} ({','.join(headings)}); a field with a comma needs quotes"
            )
        rows.append(Row(line, {name: fields[index] for name, index in wanted.items()}))
    if not rows:
        raise DataError(f"{path}: the file has headings and no further line")
    return rows


def _read_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            try:
                for fields in reader:
                    if fields:
                        yield reader.line_num, fields
            except csv.Error as error:
                raise DataError(f"{path}: line {reader.line_num} is not CSV: {error}") from error
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}: not UTF-8 text after line {reader.line_num} ({error.reason});"
                    f" save it as UTF-8"
                ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _check_headings(
    path: Path, headings: list[str], required: Sequence[str], optional: Sequence[str]
) -> None:
    for name in required:
        if name not in headings:
            raise DataError(
                f"{path}: line 1 has no column '{name}', it has {','.join(headings)!r};"
                f" the first line must name the columns"
            )
    for name in (*required, *optional):
        if headings.count(name) > 1:
            raise DataError(f"{path}: line 1 has the column '{name}' twice")


def parse_class_index(path: Path, row: Row) -> int:
    """Return the row's `class_index`.

    Raises:
        DataError: If it is not a whole number from 0 to 2^31 - 1.
    """
    text = row.fields["class_index"].strip()
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise DataError(
            f"{path}: line {row.line}: class_index '{text}' is not a whole number;"
            f" for calibration without labels leave the column out"
        )
    if text.startswith("-") or len(digits) > 10 or int(digits) > LARGEST_CLASS_INDEX:
        raise DataError(
            f"{path}: line {row.line}: class_index {text[:20]} is out of range; indices start at 0"
        )
    return int(digits)
