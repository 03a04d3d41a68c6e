"""Locks on folders: the system lets go of them when the process ends, however it ends.

A lock belongs to the folder itself, whatever name it has or gets (flock(2)); two threads of one
process keep each other out as two processes do.
"""

from __future__ import annotations

import enum
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PATIENCE_SECONDS = 5.0
_PAUSE_SECONDS = 0.01


class Lock(enum.Enum):
    """What came of the wish to lock a folder."""

    HELD = "held"
    BUSY = "held by another, or the folder is gone"
    UNKNOWN = "the file system has no locks"


@contextmanager
def locked(folder: Path, *, patient: bool = False) -> Iterator[Lock]:
    """Try to lock a folder for a `with` block; give what came of it.

    Args:
        patient: Wait for another holder, who needs it for moments.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        yield Lock.BUSY
        return
    try:
        lock = _acquired(descriptor, _PATIENCE_SECONDS if patient else 0.0)
        yield lock if _is_at(descriptor, folder) else Lock.BUSY
    finally:
        os.close(descriptor)


def _acquired(descriptor: int, patience: float) -> Lock:
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return Lock.HELD
        except BlockingIOError:
            if time.monotonic() >= until:
                return Lock.BUSY
        except OSError:
            return Lock.UNKNOWN
        time.sleep(_PAUSE_SECONDS)


def _is_at(descriptor: int, folder: Path) -> bool:
    """Whether the folder that was locked still has its name: another may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), folder.lstat())
    except OSError:
        return False
