"""Where other file systems are mounted: such a folder can be written into, but never renamed."""

from __future__ import annotations

import os
import re
from pathlib import Path

_TABLE = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")


def is_mount(path: Path) -> bool:
    """Return whether something is mounted at `path`; bind mounts of the same disk count too."""
    return os.path.ismount(path) or path in mount_points()


def mount_points() -> frozenset[Path]:
    """Return all places where something is mounted; none where the system has no such table.

    Source: proc(5), /proc/pid/mountinfo, fifth field.
    """
    try:
        lines = _TABLE.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return frozenset()
    return frozenset(Path(_unescaped(line.split(" ")[4])) for line in lines)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)
