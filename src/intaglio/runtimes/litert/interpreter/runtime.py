"""The installed LiteRT interpreter, in the configuration that a target names."""

from __future__ import annotations

from typing import Any

from intaglio.runtimes.litert.interpreter.program import (
    not_delegated,
    open_plain,
    partitions,
    run_file,
)
from intaglio.targets.target import Target

__all__ = ["not_delegated", "open_interpreter", "partitions", "run_file"]


def open_interpreter(data: bytes, target: Target, *, threads: int = 1) -> Any:
    """Return an interpreter of a file's bytes with its tensors allocated, in this process."""
    return open_plain(data, is_reference=target.arithmetic == "reference", threads=threads)
