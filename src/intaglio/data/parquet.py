"""A parquet file as a data set: columns `jpeg` (bytes of an image file) and, mostly, `label`.

Labels are read at once, images a few rows at a time when their turn comes, so that memory stays
small however large the file or its row groups are. Reading from front to back is cheap; a step
back starts the row group again, so `in_any_order` holds the image files in memory, compressed as
they are. A corrupt page is an error of the file, which is not skipped as a single bad image would
be.
"""

from __future__ import annotations

import bisect
import io
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow
import pyarrow.parquet
import pyarrow.types
from numpy.typing import NDArray

from intaglio.data.dataset import Dataset, Item, Items
from intaglio.data.guard import refuse_if_forbidden
from intaglio.data.table import LARGEST_CLASS_INDEX
from intaglio.errors import DataError

FOREIGN = (pyarrow.ArrowException, OSError, ValueError, TypeError, OverflowError, IndexError)
"""What pyarrow raises for corrupt bytes: its own errors, and those of names that are no text."""
HELD_BYTES = 2 * 10**9
"""What the image files of one parquet file may take in memory."""
_ROWS_AT_ONCE = 32
_READ_BUFFER_BYTES = 2**18


def open_parquet(path: Path) -> Dataset:
    """Return the images of a parquet file in the order of its rows.

    Raises:
        DataError: If the file is corrupt or truncated, is empty, or has not the columns `jpeg` of
            bytes and, where there is a `label`, whole numbers >= 0 in it.
    """
    column = _JpegColumn(path)
    file = column.open_file()
    try:
        schema = file.schema_arrow
        names = list(schema.names)
    except FOREIGN as error:
        raise _corrupt(path, error) from error
    kinds = {name: schema.field(index).type for index, name in enumerate(names)}
    if names.count("jpeg") != 1 or names.count("label") > 1:
        raise DataError(
            f"{path}: needs one column 'jpeg' of image bytes and one 'label' of class indices;"
            f" it has {', '.join(names)}"
        )
    if not (pyarrow.types.is_binary(kinds["jpeg"]) or pyarrow.types.is_large_binary(kinds["jpeg"])):
        raise DataError(f"{path}: the column 'jpeg' holds {kinds['jpeg']}, not bytes (binary)")
    row_count = file.metadata.num_rows
    if row_count == 0:
        raise DataError(f"{path}: the file has no rows")
    labels = _read_labels(path, file) if "label" in kinds else None
    if row_count != column.row_count or (labels is not None and len(labels) != row_count):
        raise _corrupt(path, ValueError(f"it has not the {row_count} rows that it says"))
    return Dataset(path.name, path, _ParquetItems(column, row_count, labels))


def in_any_order(dataset: Dataset, *, held_bytes: int = HELD_BYTES) -> Dataset:
    """Return the same images so that each can be read at once, whatever was read before.

    The rows of a parquet file are read, from front to back, and held; other data sets are returned
    as they are.

    Args:
        dataset: Opened from anything; of one that was drawn from, only what was drawn is held.
        held_bytes: What the image files may take together.

    Raises:
        DataError: If they take more, or the file is corrupt.
    """
    if not len(dataset) or not isinstance(dataset.items[0].source, _ParquetSource):
        return dataset
    contents: list[bytes] = []
    size = 0
    for item in dataset.items:
        with item.source.open() as file:
            contents.append(file.read())
        size += len(contents[-1])
        if size > held_bytes:
            raise DataError(
                f"{dataset.path}: its images take more than {held_bytes / 1e9:g} GB; training takes"
                f" them in any order, so those of a parquet file are held in memory: split it into"
                f" WebDataset .tar shards or class folders, or use fewer images (--limit)"
            )
    return replace(dataset, items=_HeldItems(dataset.items, contents))


def _read_labels(path: Path, file: pyarrow.parquet.ParquetFile) -> NDArray[np.integer]:
    try:
        labels = file.read(columns=["label"]).column(0)
    except FOREIGN as error:
        raise _corrupt(path, error) from error
    if not pyarrow.types.is_integer(labels.type):
        raise DataError(f"{path}: the column 'label' holds {labels.type}, not whole numbers")
    if labels.null_count:
        row = labels.is_null().index(True).as_py()
        raise DataError(f"{path}: row {row}: the label is missing")
    values: NDArray[np.integer] = labels.to_numpy()  # [rows]
    wrong = (values < 0) | (values > LARGEST_CLASS_INDEX)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"{path}: row {row}: label {values[row]} is out of range; it starts at 0")
    return values


def _corrupt(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path}: corrupt or truncated parquet file ({' '.join(str(error).split())[:200]});"
        f" make it or copy it again"
    )


class _JpegColumn:
    """The column `jpeg`, read forwards a few rows at a time; threads take turns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file: pyarrow.parquet.ParquetFile | None = None
        self._group_ends: list[int] = []
        self._rows: Iterator[pyarrow.RecordBatch] = iter(())
        self._group = -1
        self._start = self._stop = 0
        self._values: pyarrow.Array | None = None

    def open_file(self) -> pyarrow.parquet.ParquetFile:
        """Return the open file, opened once; raise DataError if its footer cannot be read."""
        if self._file is None:
            try:
                # A memory map would count each page that was read as this process's memory.
                self._file = pyarrow.parquet.ParquetFile(
                    self.path,
                    memory_map=False,
                    buffer_size=_READ_BUFFER_BYTES,
                    pre_buffer=False,
                    page_checksum_verification=True,  # where the file has checksums
                )
            except FOREIGN as error:
                raise _corrupt(self.path, error) from error
            metadata = self._file.metadata
            groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
            self._group_ends = list(accumulate(group.num_rows for group in groups))
        return self._file

    @property
    def row_count(self) -> int:
        """How many rows the open file's row groups have."""
        return self._group_ends[-1] if self._group_ends else 0

    def read(self, row: int) -> bytes:
        """Return the bytes in a row; raise DataError if the file is corrupt there."""
        with self._lock:
            try:
                return self._read(row)
            except (*FOREIGN, StopIteration) as error:
                self._group = -1  # what follows a corrupt page may be other rows than was counted
                raise _corrupt(self.path, error) from error

    def _read(self, row: int) -> bytes:
        file = self.open_file()
        group = bisect.bisect_right(self._group_ends, row)
        if group != self._group or row < self._start:
            self._rows = file.iter_batches(
                batch_size=_ROWS_AT_ONCE, row_groups=[group], columns=["jpeg"], use_threads=False
            )
            self._group = group
            self._start = self._stop = self._group_ends[group - 1] if group else 0
        while row >= self._stop:
            self._values = next(self._rows).column(0)
            self._start, self._stop = self._stop, self._stop + len(self._values)
        assert self._values is not None
        value = self._values[row - self._start].as_py()
        return b"" if value is None else value


@dataclass(frozen=True, slots=True)
class _ParquetSource:
    """The bytes in one row."""

    column: _JpegColumn
    row: int

    def open(self) -> IO[bytes]:
        """Return the bytes as a file."""
        refuse_if_forbidden(str(self))
        return io.BytesIO(self.column.read(self.row))

    def __str__(self) -> str:
        return f"{self.column.path} row {self.row}"


@dataclass(frozen=True)
class _ParquetItems(Items):
    """The rows as items, made when asked for."""

    column: _JpegColumn
    row_count: int
    labels: NDArray[np.integer] | None = field(repr=False)

    def __len__(self) -> int:
        return self.row_count

    def at(self, index: int) -> Item:
        """Return the item of a row."""
        label = None if self.labels is None else int(self.labels[index])
        source = _ParquetSource(self.column, index)
        return Item(f"{self.column.path.name} row {index}", label, source)


@dataclass(frozen=True, slots=True)
class _HeldSource:
    """The bytes of one row, in memory."""

    place: str
    content: bytes = field(repr=False)

    def open(self) -> IO[bytes]:
        """Return the bytes as a file."""
        refuse_if_forbidden(self.place)
        return io.BytesIO(self.content)

    def __str__(self) -> str:
        return self.place


@dataclass(frozen=True)
class _HeldItems(Items):
    """Items, with their bytes in memory."""

    items: Sequence[Item]
    contents: list[bytes] = field(repr=False)

    def __len__(self) -> int:
        return len(self.items)

    def at(self, index: int) -> Item:
        """Return an item whose bytes are held."""
        item = self.items[index]
        return replace(item, source=_HeldSource(str(item.source), self.contents[index]))
