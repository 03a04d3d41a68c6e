"""Where the parts of a zip archive lie in its bytes, for tests that damage them."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path


def part_places(path: Path) -> dict[str, tuple[int, int]]:
    """Return where the bytes of each part lie: name to (start, size)."""
    found = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for entry in archive.infolist():
            file.seek(entry.header_offset + 26)
            name, extra = struct.unpack("<HH", file.read(4))
            found[entry.filename] = (entry.header_offset + 30 + name + extra, entry.file_size)
    return found
