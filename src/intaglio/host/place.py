"""What --out may be: what lies there is looked at as a whole, before the work and again after it.

nothing, or an empty folder      is filled
a result of ours                 is replaced where the user said so: it holds files of
                                 RESULT_FILES and nothing else, and its report.json (or, of a
                                 network that was trained in float, its train.json) is ours
a mount point with one of these  is written into; the same goes for a folder whose parent
                                 cannot be written
anything else                    is refused: files, links, devices, pipes, sockets, foreign
                                 folders, the working directory and its parents, folders that
                                 hold what the run reads or lie within it
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from intaglio.errors import OutputError
from intaglio.host.files import MARK, RESULT_FILES, TRAIN_MARK
from intaglio.host.mounts import is_mount, mount_points
from intaglio.host.strict_json import read_json

HIDDEN = ".intaglio-"
"""What the names of our hidden folders have in them."""
_OF_A_VOLUME = "lost+found"
_KEYS = frozenset({"intaglio", "model", "target", "scheme", "float", "integer"})
_TRAIN_KEYS = frozenset({"intaglio", "model", "scheme", "start", "final", "steps", "events"})
_OF_ALL = frozenset({"size_bytes", "n", "agreement", "logits_sqnr_db"})
_LARGEST = 1e9
_LARGEST_REPORT_BYTES = 2**26
_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFLNK: "a link",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


@dataclass(frozen=True)
class OlderResult:
    """What a result says about itself, for those who are asked whether it may go.

    Attributes:
        model: The network's name.
        scheme: Such as "w8a8 per-channel".
        written: When, in local time.
        figure: Key and value of what was measured of the integer network; None where nothing was.
    """

    model: str
    scheme: str
    written: datetime
    figure: tuple[str, float] | None

    def __str__(self) -> str:
        measured = "accuracy not measured"
        if self.figure is not None:
            measured = f"{self.figure[0]} {self.figure[1]:.2f}"
        return f"{self.model}, {self.scheme}, {self.written:%Y-%m-%d %H:%M}, {measured}"


@dataclass(frozen=True)
class Spot:
    """A name in the file system under which a result may be.

    Attributes:
        path: Absolute; no part of it but perhaps the last is a link.
        inside: Whether files are written into the folder there, because it cannot be renamed.
    """

    path: Path
    inside: bool = False


@dataclass(frozen=True)
class Place:
    """Where a result is to be, looked at and found right.

    Attributes:
        spot: Its name.
        replace: Whether an older result there may be replaced.
        older: That result; None where there is none.
    """

    spot: Spot
    replace: bool
    older: OlderResult | None


def find_spot(out: Path | str, apart: Mapping[str, Path | str]) -> Spot:
    """Return the spot that the user named.

    Args:
        out: As the user named it.
        apart: What the run reads, by the name of the option: it is kept out of harm's way.

    Raises:
        OutputError: If it is a folder that the run, or the user's shell, stands on.
        OSError: If it cannot be looked at.
    """
    if "\0" in str(out):
        raise OutputError(f"{str(out)!r} is no name of a folder: choose another --out")
    path = _resolved(out)
    _refuse_standing(path)
    _refuse_mixing(path, apart)
    is_fixed = is_mount(path) or (path.is_dir() and not os.access(path.parent, os.W_OK))
    return Spot(path, inside=is_fixed)


def needs_replace(spot: Spot, older: OlderResult) -> OutputError:
    """Return the error that names a result which is in the way."""
    return OutputError(
        f"{spot.path} holds a result of intaglio ({older}): give --replace (in Python:"
        " replace=True) to replace it, or another --out"
    )


def look(spot: Spot) -> OlderResult | None:
    """Return the result at a spot; None where there is nothing, or an empty folder.

    Raises:
        OutputError: If anything else is there.
        OSError: If it cannot be looked at.
    """
    path = spot.path
    try:
        kind = stat.S_IFMT(path.lstat().st_mode)
    except FileNotFoundError:
        return None
    if kind != stat.S_IFDIR:
        what = _KINDS.get(kind, "no folder")
        raise OutputError(f"{path} is {what}: give a new or empty folder for --out")
    found = False
    with os.scandir(path) as entries:
        for entry in entries:
            if spot.inside and (entry.name.startswith(HIDDEN) or entry.name == _OF_A_VOLUME):
                continue
            found = True
            if entry.name not in RESULT_FILES or not entry.is_file(follow_symlinks=False):
                raise _foreign(path, f"'{entry.name}'")
    if any(path in mounted.parents for mounted in mount_points()):
        raise _foreign(path, "a mount point")
    return _described(path) if found else None


def _resolved(out: Path | str) -> Path:
    """Return the absolute path; a link as its last part stays, to be seen as one."""
    path = Path(out)
    if path.name in ("", ".."):
        return Path(os.path.realpath(path))
    return Path(os.path.realpath(path.parent)) / path.name


def _refuse_standing(path: Path) -> None:
    """Refuse where the shell stands, and every folder above it, the root among them."""
    here = Path.cwd()
    if path == here or path in here.parents:
        what = "the working directory" if path == here else "a parent of the working directory"
        raise OutputError(f"{path} is {what}: give a folder of its own for --out")


def _refuse_mixing(path: Path, apart: Mapping[str, Path | str]) -> None:
    for option, given in apart.items():
        read = Path(os.path.realpath(given))
        if path in (read, *read.parents) and path.exists():
            raise OutputError(f"{path} holds what {option} names ({given}): give another --out")
        if read in path.parents and read.is_dir():
            raise OutputError(
                f"{path} lies within {option} ({given}), and would be taken for a part of it the"
                " next time: give another --out"
            )


def _described(path: Path) -> OlderResult:
    mark, keys, measured = path / MARK, _KEYS, "integer"
    if not mark.exists() and (path / TRAIN_MARK).exists():
        mark, keys, measured = path / TRAIN_MARK, _TRAIN_KEYS, "final"
    if not mark.exists():
        raise _foreign(path, f"no {MARK}")
    content = _read_report(mark)
    if content is None or not content.keys() >= keys:
        raise _foreign(path, f"a {mark.name} that intaglio did not write")
    return OlderResult(
        model=str(content["model"]),
        scheme=str(content["scheme"]),
        written=datetime.fromtimestamp(mark.stat().st_mtime).astimezone(),
        figure=_figure(content[measured]),
    )


def _figure(measured: object) -> tuple[str, float] | None:
    """Return the first figure of a task: what stands there under no key of every report."""
    if isinstance(measured, dict):
        for key, value in measured.items():
            if key not in _OF_ALL and isinstance(value, int | float) and abs(value) < _LARGEST:
                return key, float(value)
    return None


def _read_report(mark: Path) -> dict[str, Any] | None:
    try:
        content = read_json(mark, _LARGEST_REPORT_BYTES)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _foreign(path: Path, what: str) -> OutputError:
    return OutputError(
        f"{path} is not a result of intaglio and nothing else (it has {what}): nothing in it was"
        " touched; give a new or empty folder for --out"
    )
