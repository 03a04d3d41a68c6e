"""The members of a tar file that nobody vouches for, as far as they are whole.

Python's tarfile reads the headers, and nothing else: no member is extracted. It is given a file
that reads no more than a header may take, because a header's own numbers say how long it goes on,
and it is asked for one header at a time, because `TarFile.next` keeps all members and ends without
a word at a header that is cut off or damaged.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

_LONGEST_HEADER = 2**20
_LOOKED_AT_BEHIND = 2**20


class BrokenTar(Exception):
    """Members before this were whole; says what happens after them: it is cut off, damaged, ..."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member.

    Attributes:
        name: Its path in the archive; bytes that are no UTF-8 are escaped.
        offset: Where its bytes begin in the file.
        size: How many there are; all lie within the file.
        is_file: Whether it is a file with these bytes: no folder, link, device or sparse file.
        is_link: Whether it stands for another file.
    """

    name: str
    offset: int
    size: int
    is_file: bool
    is_link: bool


def whole_members(file: IO[bytes]) -> Iterator[Member]:
    """Yield the members of an uncompressed tar file in their order; none for an empty file.

    Args:
        file: May be read between two members.

    Raises:
        BrokenTar: Behind the last whole member, if the file does not end as a tar file does.
        OSError: If it cannot be read.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if not size:
        return
    offset = 0
    try:
        archive = tarfile.TarFile(
            fileobj=_Headers(file), encoding="utf-8", errors="backslashreplace"
        )
        while True:
            file.seek(offset)
            archive.offset = offset
            found = tarfile.TarInfo.fromtarfile(archive)
            if found.size < 0 or archive.offset <= offset:
                raise BrokenTar("damaged")
            # The zeros that fill up the last block may lack.
            whole = archive.offset < size + tarfile.BLOCKSIZE
            if not whole or found.offset_data + found.size > size:
                raise BrokenTar("cut off")
            offset = archive.offset
            yield _member(found)
    except (OSError, BrokenTar):
        raise
    # Headers of corrupt bytes make tarfile raise its own errors, ValueError, RecursionError and
    # others; a list of them would always lack one. The end of the archive is an error as well.
    except Exception as error:
        wrong = _after(file, offset, size)
        if wrong is not None:
            raise BrokenTar(wrong) from error


def _member(found: tarfile.TarInfo) -> Member:
    is_file = found.isreg() and not found.issparse()
    is_link = found.issym() or found.islnk()
    return Member(found.name, found.offset_data, found.size, is_file, is_link)


def _after(file: IO[bytes], offset: int, size: int) -> str | None:
    """Return what is wrong where no header could be read; None: the archive ends there.

    It ends with a block of zeros, and nothing but zeros follow.
    """
    was_read_to_the_end = file.tell() >= size
    file.seek(offset)
    block = file.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        return "cut off"
    if any(block):
        return "cut off" if was_read_to_the_end else "damaged"
    return (
        "another archive, which is not read, begins" if any(file.read(_LOOKED_AT_BEHIND)) else None
    )


class _Headers(io.RawIOBase):
    """A file that is read a header at a time."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """Return up to so many bytes; raise ValueError where no header is as long."""
        if not 0 <= size <= _LONGEST_HEADER:
            raise ValueError(f"a header of {size} bytes")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place in the file."""
        return self._file.tell()
