"""SHA256SUMS: what every other file of a result is, in the format of `sha256sum`.

`sha256sum --check SHA256SUMS` verifies a result without intaglio.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from intaglio.errors import RequestError
from intaglio.host.files import RESULT_FILES, SUMS, write_file

_LINE = re.compile(r"([0-9a-f]{64})  ([^/\0\n]+)")
_LARGEST_BYTES = 2**16


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS over the files in a result's folder; the last thing that is written there.

    Raises:
        UnknownName: If a file there is none of RESULT_FILES: a defect of what wrote it.
    """
    names = sorted(path.name for path in folder.iterdir() if path.name != SUMS)
    for name in names:
        RESULT_FILES[name]
    write_file(folder / SUMS, "".join(f"{_digest(folder / name)}  {name}\n" for name in names))


def read_sums(folder: Path) -> dict[str, str]:
    """Return file name to SHA-256 as SHA256SUMS states them.

    Raises:
        FileNotFoundError: If the folder has no SHA256SUMS.
        RequestError: If it cannot be read, or is not as `write_sums` writes it.
    """
    try:
        with (folder / SUMS).open("rb") as file:
            text = file.read(_LARGEST_BYTES).decode("ascii")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(folder, f"{SUMS} cannot be read ({error})") from error
    lines = [_LINE.fullmatch(line) for line in text.removesuffix("\n").split("\n")]
    found = {line[2]: line[1] for line in lines if line}
    if len(found) != len(lines) or not text.endswith("\n"):
        raise _damaged(folder, f"{SUMS} is not a list of SHA-256 sums")
    return found


def verify_sums(folder: Path) -> bool:
    """Return whether the folder has a SHA256SUMS; every file of the result is then as it says.

    Raises:
        RequestError: If a file is missing, differs, or is not listed; names it.
    """
    try:
        sums = read_sums(folder)
    except FileNotFoundError:
        return False
    for name, stated in sums.items():
        try:
            if not (folder / name).is_file():  # nor a pipe, which would be waited for
                raise _damaged(folder, f"{name} is missing")
            found = _digest(folder / name)
        except OSError as error:
            raise _damaged(folder, f"{name} cannot be read ({error.strerror})") from error
        if found != stated:
            raise _damaged(folder, f"{name} is not what {SUMS} says")
    for name in RESULT_FILES:
        if name not in sums and name != SUMS and (folder / name).exists():
            raise _damaged(folder, f"{name} is not listed in {SUMS}")
    return True


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(folder: Path, what: str) -> RequestError:
    return RequestError(
        f"the result {folder} is incomplete or damaged: {what}; compress again, or copy all its"
        " files again"
    )
