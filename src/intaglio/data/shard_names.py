"""Which tar shards a text names: a file, a folder that holds nothing else, a pattern.

Patterns are those of WebDataset and of shells: `train-{0000..0009}.tar`, `{a,b}.tar`,
`train-*.tar`; a `{..}` names every shard, so one that is missing is an error.
"""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

from intaglio.data.decode import IMAGE_ENDINGS
from intaglio.errors import DataError

ENDING = ".tar"
MOST_SHARDS = 100_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"([0-9]{1,9})\.\.([0-9]{1,9})")
_COMPRESSED = {
    ".tgz": "gzip", ".tar.gz": "gzip", ".tar.bz2": "bzip2", ".tar.xz": "xz", ".tar.zst": "zstd",
}  # fmt: skip


def compression(path: Path) -> str | None:
    """Return how a tar file of this name, or such a pattern, is compressed; None: it is not."""
    name = path.name.lower()
    return next((kind for ending, kind in _COMPRESSED.items() if name.endswith(ending)), None)


def shards_in(folder: Path) -> list[Path]:
    """Return the shards of a folder that holds no images and no folders, sorted by name.

    Other files beside them (a list of sizes, a README) are no data; names that begin with a dot
    are not looked at.

    Raises:
        DataError: If the folder cannot be read.
    """
    try:
        files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: the folder cannot be read: {error.strerror}") from error
    if any(path.name.lower().endswith(IMAGE_ENDINGS) or path.is_dir() for path in files):
        return []
    return [path for path in files if path.suffix.lower() == ENDING]


def is_pattern(path: Path) -> bool:
    """Whether this names several shards."""
    return path.suffix.lower() == ENDING and any(sign in str(path) for sign in "{*?[")


def shards_named(pattern: Path) -> list[Path]:
    """Return the shards that a pattern names, in the order of its braces and sorted for a `*`.

    Raises:
        DataError: If a brace is none of these, a `*` fits no file, or it names too many.
    """
    shards: list[Path] = []
    for name in _expanded(str(pattern), pattern):
        if not any(sign in name for sign in "*?[") or os.path.exists(name):
            shards.append(Path(name))
            continue
        fitting = sorted(glob.glob(name))
        if not fitting:
            raise DataError(f"{name}: no file fits this pattern (looked from {Path.cwd()})")
        shards += map(Path, fitting)
    return shards


def _expanded(text: str, pattern: Path) -> list[str]:
    names = [text]
    while (found := _BRACES.search(names[0])) is not None:
        inside = _choices(found.group(1), pattern)
        if len(names) * len(inside) > MOST_SHARDS:
            raise DataError(f"{pattern}: names more than {MOST_SHARDS} shards")
        # All names have the same braces still, and the first of them stands where it does here.
        halves = [_BRACES.split(name, maxsplit=1) for name in names]
        names = [before + choice + after for before, _, after in halves for choice in inside]
    return names


def _choices(inside: str, pattern: Path) -> list[str]:
    if "," in inside:
        return inside.split(",")
    numbers = _RANGE.fullmatch(inside)
    if numbers is None:
        raise DataError(
            f"{pattern}: '{{{inside}}}' is no range of shards; write {{0000..0009}} or {{a,b}}"
        )
    first, last = int(numbers[1]), int(numbers[2])
    if not 0 <= last - first < MOST_SHARDS:
        raise DataError(
            f"{pattern}: '{{{inside}}}' counts down or names more than {MOST_SHARDS} shards"
        )
    is_padded = any(len(text) > 1 and text.startswith("0") for text in numbers.groups())
    width = max(map(len, numbers.groups())) if is_padded else 0
    return [f"{number:0{width}d}" for number in range(first, last + 1)]
