"""The installed LiteRT interpreter, with the kernels that a target names."""

from __future__ import annotations

from typing import Any, Protocol

from intaglio.runtimes.litert.interpreter.program import (
    not_delegated,
    open_plain,
    partitions,
    run_file,
)

__all__ = ["Kernels", "not_delegated", "open_interpreter", "partitions", "run_file"]


class Kernels(Protocol):
    """Which kernels run a file; a target of LiteRT says it."""

    @property
    def runtime(self) -> str:
        """Package and version, for messages."""

    @property
    def is_reference(self) -> bool:
        """Whether the reference kernels run it, without a delegate."""


def open_interpreter(data: bytes, kernels: Kernels, *, threads: int = 1) -> Any:
    """Return an interpreter of a file's bytes with its tensors allocated, in this process."""
    return open_plain(data, is_reference=kernels.is_reference, threads=threads)
