"""The hidden folder in which a training is kept until it is done: kill -9 leaves it usable.

What clears up after other runs leaves it alone (hidden.py). It is removed when the result that
holds the same is in its place.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from intaglio.errors import OutputError
from intaglio.host.hidden import training_name
from intaglio.host.lock import Lock, locked
from intaglio.host.place import Place

STATE = "state.safetensors"
UNFINISHED = f".{STATE}.unfinished"
"""What a run that was killed while it wrote may leave beside it."""


def has_training(place: Place) -> bool:
    """Whether a training that is not done is kept beside a place."""
    return (training_name(place.spot) / STATE).is_file()


@contextmanager
def training_folder(place: Place) -> Iterator[Path]:
    """Give the folder of a place, locked; an older training in it stays until it is written over.

    It is left as it is, but for one without a state in it, which is removed.

    Raises:
        OutputError: If it cannot be made, or another run trains there.
    """
    folder = training_name(place.spot)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{folder} cannot be made: {reason}: choose another --out") from error
    with locked(folder) as lock:
        if lock is Lock.BUSY:
            raise OutputError(
                f"another run trains for {place.spot.path} at this moment: wait for it, or choose"
                " another --out"
            )
        try:
            yield folder
        finally:
            if not (folder / STATE).is_file():
                drop_training(folder)


def drop_training(folder: Path) -> None:
    """Remove a kept training, and its folder where nothing else is in it."""
    for name in (STATE, UNFINISHED):
        with suppress(OSError):
            (folder / name).unlink()
    with suppress(OSError):
        folder.rmdir()


def copy_state(folder: Path, to: Path) -> None:
    """Put the state of a training into another folder too; it shares the disk where it can."""
    with suppress(FileNotFoundError):
        (to / STATE).unlink()
    try:
        os.link(folder / STATE, to / STATE)
    except OSError:
        shutil.copyfile(folder / STATE, to / STATE)
