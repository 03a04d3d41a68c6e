"""Hidden folders in which results are made, and what killed runs left of them.

Beside a place called NAME, or within a place that cannot be renamed (then without NAME):

    .NAME.intaglio-new-TOKEN     being written; removed when its run is dead
    .NAME.intaglio-old-TOKEN     aside for a moment, where folders cannot trade places in one step;
                                 put back when its place is empty
    .intaglio-moving-TOKEN       whole, its files being moved into the folder that it lies in;
                                 finished by the next run
    .NAME.intaglio-gone-TOKEN    being removed; never taken for anything else
    .NAME.intaglio-training      what a killed training goes on from (training.py): there until the
                                 training is done

The token is random, and a living run holds the lock of its folder.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from intaglio.errors import OutputError, RequestError
from intaglio.host.files import RESULT_FILES, SUMS, remove_result
from intaglio.host.lock import Lock, locked
from intaglio.host.place import HIDDEN, Spot, look
from intaglio.host.sums import read_sums

NEW, OLD, MOVING, GONE = "new", "old", "moving", "gone"
TRAINING = "training"
_ATTEMPTS = 20


def hidden_name(spot: Spot, kind: str) -> Path:
    """Return a name that nothing has, beside the spot or inside it."""
    home, start = _home(spot)
    return home / f"{start}{kind}-{secrets.token_hex(6)}"


def training_name(spot: Spot) -> Path:
    """Return the name of the one folder beside the spot, or inside it, where training is kept."""
    home, start = _home(spot)
    return home / f"{start}{TRAINING}"


def _home(spot: Spot) -> tuple[Path, str]:
    """Return where hidden folders lie, and how their names start."""
    if spot.inside:
        return spot.path, HIDDEN
    return spot.path.parent, f".{spot.path.name}{HIDDEN}"


@contextmanager
def new_folder(spot: Spot) -> Iterator[Path]:
    """Give a new hidden folder, locked; remove what is in it at the end.

    Raises:
        OSError: If it cannot be made.
    """
    for _ in range(_ATTEMPTS):
        folder = hidden_name(spot, NEW)
        folder.parent.mkdir(parents=True, exist_ok=True)  # a run that failed may have removed it
        folder.mkdir()
        with locked(folder) as lock:
            if lock is Lock.BUSY:  # taken for a dead run's, between these two lines
                continue
            try:
                yield folder
            finally:
                remove_result(folder)
            return
    raise OutputError(
        f"{spot.path}: its hidden folder is removed by another program again and again"
    )


def recover(spot: Spot) -> None:
    """Undo or finish what killed runs left; what living ones write is left alone."""
    home, start = _home(spot)
    pattern = re.compile(rf"{re.escape(start)}({NEW}|{OLD}|{MOVING}|{GONE})-[0-9a-f]+")
    try:
        names = sorted(entry.name for entry in home.iterdir())
    except OSError:
        return
    for match in filter(None, map(pattern.fullmatch, names)):
        with locked(home / match[0]) as lock:
            if lock is Lock.HELD:
                _put_right(home / match[0], spot, kind=match[1])


def _put_right(folder: Path, spot: Spot, *, kind: str) -> None:
    if kind == MOVING:
        with suppress(OSError, RequestError):
            finish_moving(folder, spot.path)
    elif kind == OLD and not os.path.lexists(spot.path) and _is_result(folder):
        folder.rename(spot.path)
    elif kind == OLD:
        discard(folder, spot)
    else:
        remove_result(folder)


def _is_result(folder: Path) -> bool:
    try:
        return look(Spot(folder)) is not None
    except (OSError, OutputError):
        return False


def discard(folder: Path, spot: Spot) -> None:
    """Remove a result that stands aside, under a name from which it is never put back."""
    gone = hidden_name(spot, GONE)
    folder.rename(gone)
    remove_result(gone)


def finish_moving(folder: Path, path: Path) -> None:
    """Move a whole result's files into the folder `path`, SHA256SUMS last; may be called again.

    While some are moved, the sums that are there do not match: `load` takes nothing of the mixture.

    Raises:
        OSError: If a file cannot be moved.
        RequestError: If the hidden folder's own SHA256SUMS is damaged.
    """
    with suppress(FileNotFoundError):  # the last file: then all others are moved
        names = read_sums(folder)
        for name in RESULT_FILES:
            if name not in names and name != SUMS:
                (path / name).unlink(missing_ok=True)  # of the older result
        for name in names:
            with suppress(FileNotFoundError):
                (folder / name).replace(path / name)
        (folder / SUMS).replace(path / SUMS)
    remove_result(folder)


def is_unfinished(path: Path) -> bool:
    """Return whether a run died while it moved its files into the folder `path`."""
    return any(path.glob(f"{HIDDEN}{MOVING}-*"))
