"""Whole folders or nothing: written in a hidden folder beside the place, then renamed.

    .NAME.intaglio-new-PID    being written
    .NAME.intaglio-old-PID    the result that is being replaced, for the moment between two renames

Whatever a killed run left is put right by the next: an old result whose place is empty goes back to
its place, everything else is removed. A running process holds a lock on its hidden folder, which
the system lets go of when the process ends, however it ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from intaglio.errors import OutputError

MARK = "report.json"
"""A folder with this file in it is a result, and may be replaced by one."""


@contextmanager
def whole_folder(place: Path, mark: str = MARK) -> Iterator[Path]:
    """Give a hidden folder to write into; put it in `place` when the block ends without an error.

    Args:
        place: Where the result is to be. It may hold an older result, or be an empty folder.
        mark: File by which an older result is known.

    Raises:
        OutputError: If the place holds something else, cannot be written, or the disk is full.
    """
    place = Path(os.path.realpath(place))  # a link stays a link: what it points to is replaced
    made = [folder for folder in place.parents if not folder.exists()]
    fresh = place.parent / f".{place.name}.intaglio-new-{os.getpid()}"
    try:
        with _told(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            _put_right(place)
            _refuse_foreign(place, mark)
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
        with _told(place), _held(fresh):
            yield fresh
            _replace(fresh, place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        for folder in made:  # the innermost first; those with something in them stay
            with suppress(OSError):
                folder.rmdir()


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file and make sure that it is on the disk."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _replace(fresh: Path, place: Path) -> None:
    old = place.parent / f".{place.name}.intaglio-old-{os.getpid()}"
    if not place.exists():
        fresh.rename(place)
        return
    with _held(place):
        place.rename(old)
        fresh.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def _put_right(place: Path) -> None:
    """Undo or finish what killed runs left beside `place`; what living ones write is left alone."""
    for left in sorted(place.parent.glob(f".{_escaped(place.name)}.intaglio-*-*")):
        kind, _, process = left.name.rpartition("-")
        if not process.isdigit() or _is_held(left):
            continue
        if kind.endswith("-old") and not place.exists():
            left.rename(place)
        else:
            shutil.rmtree(left, ignore_errors=True)


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the lock that says a living process works on a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _is_held(folder: Path) -> bool:
    try:
        with _held(folder):
            return False
    except BlockingIOError:
        return True


def _refuse_foreign(place: Path, mark: str) -> None:
    if place.is_file():
        raise OutputError(f"{place} is a file: give a folder for --out")
    if place.is_dir() and any(place.iterdir()) and not (place / mark).is_file():
        raise OutputError(
            f"{place} holds files that are not a result of intaglio: give a new or empty folder"
        )


@contextmanager
def _told(place: Path) -> Iterator[None]:
    """Turn errors of the file system into OutputError."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OutputError(f"{place}: the disk is full; nothing was written") from error
        reason = error.strerror or str(error)
        raise OutputError(f"{place} cannot be written: {reason}: choose another --out") from error
