"""The files of a result: one table of their names, and how a file is put on the disk."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from intaglio.registry import Registry

MARK = "report.json"
"""The file by which a result is known."""
TRAIN_MARK = "train.json"
"""The same of a network that was trained; one that stayed float has no report."""
SUMS = "SHA256SUMS"
POSTPROCESS = "postprocess.json"
CORES = "cores.json"
MOST_CORES = 4
"""Parts of one detector that a result may hold, each a network of its own."""

RESULT_FILES: Registry[str] = Registry("file of a result")
"""Name of each file that a result may have, to what is in it.

Nothing else is ever written into a result's folder, and nothing else is removed from one: a feature
that adds a file to results registers its name here.
"""
for _name, _content in {
    "report.html": "report.json as a page",
    TRAIN_MARK: "what training did",
    "weights.safetensors": "the trained weights, by the names of the user's network",
    "state.safetensors": "the state that training ended in",
    "surgery.json": "what surgery did, and the price of each change",
    "network.pt2": "the float network after surgery, as an exported program",
    "synthetic.safetensors": "images that were made of batch norms",
    CORES: "which parts of a user's detector these are",
    POSTPROCESS: "how boxes come of a detector's outputs",
    SUMS: "SHA-256 of all the others",
}.items():
    RESULT_FILES.register(_name)(_content)


def core_prefix(number: int) -> str:
    """Return what the names of a core's files begin with; those of the first, 1, with nothing."""
    return "" if number == 1 else f"core{number}-"


def register_of_cores(name: str, content: str) -> None:
    """Register a file that every core of a result has."""
    for number in range(1, MOST_CORES + 1):
        of_core = "" if number == 1 else f", of core {number}"
        RESULT_FILES.register(f"{core_prefix(number)}{name}")(f"{content}{of_core}")


for _name, _content in {
    MARK: "what was done and measured",
    "encodings.json": "scale and zero point of every value and weight",
    "recipe.toml": "what was really run",
    "graph.json": "the twin's graph",
    "graph.safetensors": "the twin's weights",
}.items():
    register_of_cores(_name, _content)


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file and make sure that it is on the disk."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def require_plain_file(path: Path, largest_bytes: int) -> None:
    """Pass a file that can be read whole: no pipe or device, which would be waited for.

    Raises:
        OSError: If it cannot be looked at.
        ValueError: If it is no file, or larger than `largest_bytes`.
    """
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError("it is not a file")
    if facts.st_size > largest_bytes:
        raise ValueError(f"it has {facts.st_size} bytes, more than {largest_bytes}")


def sync_folder(folder: Path) -> None:
    """Make sure that a folder's names are on the disk, where the file system can tell."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_result(folder: Path) -> None:
    """Remove the files of a result and their folder; a folder with anything else in it stays."""
    for name in RESULT_FILES:
        with suppress(OSError):
            (folder / name).unlink()
    with suppress(OSError):
        folder.rmdir()
