"""The hidden folder in which a training is kept until it is done: kill -9 leaves it usable.

What clears up after other runs leaves it alone (hidden.py). It is removed when the result that
holds the same is in its place. A run of several stages has a folder for each of them in it, and a
file that says what the run is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from intaglio.errors import OutputError
from intaglio.host.hidden import training_name
from intaglio.host.lock import Lock, locked
from intaglio.host.place import Place

STATE = "state.safetensors"
UNFINISHED = f".{STATE}.unfinished"
"""What a run that was killed while it wrote may leave beside it."""

ABOUT = "run.json"
"""What a run of several stages is, in words."""


@dataclass(frozen=True)
class Kept:
    """Where a run, or a stage of it, is kept.

    Attributes:
        folder: Its own; None: nothing is written.
        resume: Whether to go on with what is there.
    """

    folder: Path | None = None
    resume: bool = False

    def stage(self, name: str) -> Kept:
        """Return where a stage of the run is kept; it goes on only where it was saved."""
        if self.folder is None:
            return self
        folder = self.folder / name
        return Kept(folder, self.resume and (folder / STATE).is_file())

    def attempt(self, number: int) -> Kept:
        """Return where the run is kept when it is made for the n-th time, counted from 1."""
        if self.folder is None or number == 1:
            return self
        return Kept(self.folder / f"attempt-{number}", self.resume)


NOT_KEPT = Kept()


def has_training(place: Place) -> bool:
    """Whether a training that is not done is kept beside a place."""
    return (training_name(place.spot) / STATE).is_file()


def has_stages(place: Place) -> bool:
    """Whether a run of several stages that is not done is kept beside a place."""
    folder = training_name(place.spot)
    return (folder / ABOUT).is_file() and any(folder.glob(f"*/**/{STATE}"))


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
            if not any(folder.glob(f"**/{STATE}")):
                drop_training(folder)


def drop_training(folder: Path) -> None:
    """Remove a kept training with all its stages, and its folder where nothing else is in it."""
    drop_stages(folder)
    _remove(folder, (STATE, UNFINISHED))


def drop_stages(folder: Path) -> None:
    """Remove what a run of several stages left, and leave the folder."""
    with suppress(OSError):
        (folder / ABOUT).unlink()
    for inner, _, _ in os.walk(folder, topdown=False):
        if Path(inner) != folder:
            _remove(Path(inner), (STATE, UNFINISHED))


def _remove(folder: Path, names: Iterable[str]) -> None:
    for name in names:
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
