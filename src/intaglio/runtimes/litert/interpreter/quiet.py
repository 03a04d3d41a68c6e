"""Keeps LiteRT's greeting off standard error."""

from __future__ import annotations

import os
import sys

from intaglio.runtimes.litert.format.builder import TfliteBuilder
from intaglio.runtimes.litert.interpreter.program import open_plain


def silence_greeting() -> None:
    """Let LiteRT announce its delegate where nobody reads it; it does so once in a process.

    The announcement is written by C++ code to file descriptor 2 when the first file with something
    to delegate is opened, whatever Python's sys.stderr is. So such a file, of one op, is opened
    while that descriptor leads nowhere. All later messages of LiteRT are shown.
    """
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        open_plain(_smallest_file(), is_reference=False)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _smallest_file() -> bytes:
    build = TfliteBuilder()
    build.inputs = [build.tensor("x", (1,), "float32")]
    build.outputs = [build.tensor("y", (1,), "float32")]
    build.operator("ABS", build.inputs, build.outputs, version=1)
    return build.pack("one op")
