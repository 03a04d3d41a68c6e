"""Folders that look like results, made of few words; and the host room without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from intaglio.host import files
from intaglio.host.files import write_file
from intaglio.host.folder import claim_place, whole_folder
from intaglio.host.hidden import is_unfinished
from intaglio.host.sums import verify_sums

NAMES = {"SHA256SUMS", "model.tflite", "report.json"}

LIGHT = f"""
import os, sys, types
package = types.ModuleType("intaglio")  # its root imports torch, which takes seconds
package.__path__ = [{str(Path(files.__file__).parent.parent)!r}]
sys.modules["intaglio"] = package
sys.path.insert(0, {str(Path(__file__).resolve().parent.parent)!r})
from host.results import *
files.RESULT_FILES.register("model.tflite")("what a runtime, which is not imported here, adds")
os.fsync = lambda descriptor: None  # what reaches the disk when is not what is asked here
"""


def report(word: str) -> str:
    """Return a report.json of a network called `word`."""
    return json.dumps(
        {
            "intaglio": "0.1.0",
            "model": word,
            "target": "litert",
            "scheme": "w8a8 per-channel",
            "float": {},
            "integer": {"top1": 79.9},
        }
    )


def fill(folder: Path, word: str) -> None:
    """Write the files of a result into a folder."""
    write_file(folder / "report.json", report(word))
    write_file(folder / "model.tflite", word * 1000)


def write_result(place: Path, word: str = "new", *, replace: bool = True) -> None:
    """Write a result as a run does."""
    with whole_folder(claim_place(place, replace=replace)) as folder:
        fill(folder, word)


def word_of(place: Path) -> str:
    """Return "new" where the whole result "new" is, "nothing", or what is wrong with it."""
    found = {path.name for path in place.glob("[!.]*")}
    if not found:
        return "nothing"
    try:
        is_sealed = verify_sums(place)
        word = json.loads((place / "report.json").read_text())["model"]
    except Exception as error:
        return f"damaged: {error}"
    if not is_sealed and is_unfinished(place):
        return "damaged: unfinished"
    same = (place / "model.tflite").read_text() == word * 1000
    return word if is_sealed and found == NAMES and same else "a mixture"


def ran(script: str, *arguments: object, before: tuple[str, ...] = ()) -> list[str]:
    """Run a script with the names of this file; return the lines that it prints."""
    done = subprocess.run(
        [*before, sys.executable, "-c", LIGHT + script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
