"""Whole folders or nothing: written in a hidden folder, then put into place in one step.

The older result, if there is one, and the new one trade places in one step where the system has it
(exchange.py); elsewhere the older one stands aside between two renames, and is put back on any
failure. A folder that cannot be renamed gets its files one by one, SHA256SUMS last.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from intaglio.errors import OutputError
from intaglio.host.exchange import exchange
from intaglio.host.files import sync_folder
from intaglio.host.hidden import (
    MOVING,
    OLD,
    discard,
    finish_moving,
    hidden_name,
    new_folder,
    recover,
)
from intaglio.host.lock import Lock, locked
from intaglio.host.place import Place, Spot, find_spot, look, needs_replace
from intaglio.host.sums import write_sums

_ATTEMPTS = 20


def claim_place(
    out: Path | str, *, replace: bool = False, apart: Mapping[str, Path | str] | None = None
) -> Place:
    """Return the place of a result, once what killed runs left there is put right.

    Args:
        out: As the user named it: nothing, an empty folder, or an older result.
        replace: Whether an older result there may be replaced.
        apart: What the run reads, by the name of the option.

    Raises:
        OutputError: If something is there that is not to be replaced; says what.
    """
    with _told(out):
        spot = find_spot(out, apart or {})
        with locked(spot.path, patient=True):
            recover(spot)
        older = look(spot)
    if older is not None and not replace:
        raise needs_replace(spot, older)
    return Place(spot, replace, older)


@contextmanager
def whole_folder(place: Place) -> Iterator[Path]:
    """Give a hidden folder to write into; put it in place when the block ends without an error.

    It is finished with a SHA256SUMS of all that was written.

    Raises:
        OutputError: If the place cannot be written, something came there in the meantime, or the
            disk is full. What was there is there still.
    """
    spot = place.spot
    made = [folder for folder in spot.path.parents if not folder.exists()]
    try:
        with _told(spot.path), new_folder(spot) as fresh:
            yield fresh
            write_sums(fresh)
            sync_folder(fresh)
            _put(fresh, place)
            sync_folder(spot.path.parent)
    finally:
        for folder in made:  # the innermost first; those with something in them stay
            with suppress(OSError):
                folder.rmdir()


def _put(fresh: Path, place: Place) -> None:
    """Put the finished folder in its place, after another look at what is there by now."""
    path = place.spot.path
    for _ in range(_ATTEMPTS):
        with locked(path, patient=True) as lock:
            if lock is Lock.BUSY and path.is_dir() and not path.is_symlink():
                continue  # another run has just put its result there, or does
            with suppress(FileNotFoundError):  # what was there is gone
                if _is_put(fresh, place):
                    return
    raise OutputError(f"{path}: other programs write there at the same time; nothing was written")


def _is_put(fresh: Path, place: Place) -> bool:
    """Put the finished folder in its place; return False where that changed at the same time."""
    spot = place.spot
    if spot.inside:
        recover(spot)
    older = look(spot)
    if older is not None and not place.replace:
        raise needs_replace(spot, older)
    if spot.inside:
        _move_in(fresh, spot)
    elif older is None:
        return _renamed(fresh, spot.path)
    elif not _exchanged(fresh, spot):
        _two_renames(fresh, spot)
    return True


def _renamed(fresh: Path, path: Path) -> bool:
    """Rename to where nothing is, or an empty folder; return False where that has changed."""
    with suppress(FileNotFoundError):
        shutil.copymode(path, fresh)
    try:
        fresh.rename(path)  # replaces nothing but an empty folder
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _exchanged(fresh: Path, spot: Spot) -> bool:
    """Let the new result and an older one trade places; return False where that is not possible."""
    shutil.copymode(spot.path, fresh)
    if not exchange(fresh, spot.path):
        return False
    try:
        look(Spot(fresh))
    except OutputError as error:
        exchange(fresh, spot.path)
        raise OutputError(
            f"{spot.path}: a file was put there at the last moment, nothing was replaced ({error})"
        ) from error
    discard(fresh, spot)
    return True


def _two_renames(fresh: Path, spot: Spot) -> None:
    old = hidden_name(spot, OLD)
    try:
        spot.path.rename(old)
        fresh.rename(spot.path)
    except BaseException:
        if not os.path.lexists(spot.path) and old.exists():
            old.rename(spot.path)
        raise
    discard(old, spot)


def _move_in(fresh: Path, spot: Spot) -> None:
    """Move the files into a folder that itself cannot be moved."""
    moving = hidden_name(spot, MOVING)
    fresh.rename(moving)
    try:
        finish_moving(moving, spot.path)
    except BaseException:  # halfway is the one thing that may not stay
        finish_moving(moving, spot.path)
        raise


@contextmanager
def _told(path: Path | str) -> Iterator[None]:
    """Turn errors of the file system into OutputError."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OutputError(f"{path}: the disk is full; nothing was written") from error
        reason = error.strerror or str(error)
        raise OutputError(f"{path} cannot be written: {reason}: choose another --out") from error
