"""A zip archive from outside, looked through before anything else reads it.

torch writes its checkpoints and programs as zip archives and does not compare the checksums in them
when it reads them, so a flipped bit would be another number. Here they are compared. Entries must
be stored as they are, as torch stores them (what is compressed may grow without end), each name
must be there once (two readers may pick different ones), and no entry may claim more bytes than
the file has: reading an archive never takes more memory than the file is large.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

READ_AT_ONCE = 2**20
MOST_ENTRIES = 100_000
END_RECORD = b"PK\x05\x06"
END_RECORD_BYTES = 22


class DamagedArchive(Exception):
    """What is wrong with an archive; who opens it says which file that is.

    Attributes:
        compressed: The name of a part that is compressed, else "".
    """

    def __init__(self, reason: str, compressed: str = "") -> None:
        self.compressed = compressed
        super().__init__(reason)


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Give the archive, its table looked through; reading an entry compares its checksum.

    Raises:
        DamagedArchive: Also in place of what zipfile raises while the block reads entries.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_end(path)
            _check_table(archive, path.stat().st_size)
            yield archive
    except DamagedArchive:
        raise
    except Exception as error:  # zipfile raises whatever the damaged bytes lead it to
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DamagedArchive(reason[:200]) from error


def check_contents(archive: zipfile.ZipFile) -> None:
    """Read every entry through, a piece at a time: each must have its size and its checksum."""
    for entry in archive.infolist():
        left = entry.file_size
        with archive.open(entry) as content:
            while piece := content.read(READ_AT_ONCE):
                left -= len(piece)
        if left:
            raise DamagedArchive(f"its part '{entry.filename}' is cut off")


def _check_end(path: Path) -> None:
    """Refuse bytes behind the archive, in which another reader could find another table."""
    with path.open("rb") as file:
        file.seek(-END_RECORD_BYTES, 2)
        end = file.read()
    if not (end.startswith(END_RECORD) and end.endswith(b"\0\0")):
        raise DamagedArchive("there is something behind its end")


def _check_table(archive: zipfile.ZipFile, file_bytes: int) -> None:
    entries = archive.infolist()
    if len(entries) > MOST_ENTRIES:
        raise DamagedArchive(f"it has {len(entries)} parts")
    packed = [entry for entry in entries if entry.compress_type != zipfile.ZIP_STORED]
    if packed:
        name = packed[0].filename
        raise DamagedArchive(f"its part '{name}' is compressed", compressed=name)
    # in lower case: torch finds an entry by its name in any case
    if len({entry.filename.lower() for entry in entries}) != len(entries):
        raise DamagedArchive("a part is there twice")
    sizes = [entry.file_size for entry in entries]
    if sum(sizes) > file_bytes or sizes != [entry.compress_size for entry in entries]:
        raise DamagedArchive("its parts claim more bytes than there are")
