"""What runs one file: in this process, or (isolated.py) in a child of it.

One rule says which: bytes that this process has written are run in it, bytes that were read from a
disk in a child.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from intaglio.errors import RequestError
from intaglio.runtimes.litert.format.layout import Array
from intaglio.runtimes.litert.interpreter.program import described, reason, run_file
from intaglio.runtimes.litert.interpreter.runtime import Kernels, open_interpreter

IN_PROCESS = "the file"
"""What messages call a file that was never on a disk."""


@dataclass(frozen=True)
class End:
    """An input or an output of a file.

    Attributes:
        name: Of its tensor.
        shape: In the file's layout.
        dtype: numpy's name of its type.
        scale, zero_point: Its grid; 0.0 and 0 where it has none.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Opened:
    """What can be known of an opened file before it is run.

    Attributes:
        inputs, outputs: In the file's order.
        partitions: Delegate nodes in its execution plan.
        builtin: Names of the ops that the delegate did not take, in the file's order.
    """

    inputs: tuple[End, ...]
    outputs: tuple[End, ...]
    partitions: int
    builtin: tuple[str, ...]


class OpenedFile(Protocol):
    """An opened file."""

    @property
    def opened(self) -> Opened:
        """What is known of the file."""

    def run(self, image: Array) -> list[Array]:
        """Return its outputs for one image, already in the file's layout and type.

        Raises:
            RequestError: If the runtime cannot run it.
        """


class Opener(Protocol):
    """What opens files."""

    def open(self, content: bytes) -> OpenedFile:
        """Return the file, opened.

        Raises:
            RequestError: If the runtime cannot load it.
        """


@dataclass(frozen=True)
class InProcess:
    """Opens files that this process has written, in this process."""

    kernels: Kernels

    def open(self, content: bytes) -> OpenedFile:
        """Return the file, opened; raise RequestError where the runtime cannot load it."""
        try:
            interpreter = open_interpreter(content, self.kernels)
        except (RuntimeError, ValueError) as error:
            raise unloadable(IN_PROCESS, self.kernels, reason(error)) from error
        return _InProcessRunner(interpreter, as_opened(described(interpreter)), self.kernels)


def as_opened(header: dict[str, Any]) -> Opened:
    """Return what an interpreter says about its file, out of JSON's types."""
    return Opened(
        inputs=tuple(_end(entry) for entry in header["inputs"]),
        outputs=tuple(_end(entry) for entry in header["outputs"]),
        partitions=int(header["partitions"]),
        builtin=tuple(str(name) for name in header["builtin"]),
    )


def unloadable(where: str, kernels: Kernels, why: str) -> RequestError:
    """Return the error for a file that the runtime does not load."""
    return RequestError(
        f"{where}: {kernels.runtime} cannot load it: damaged, no .tflite file, or with ops that"
        f" the runtime lacks ({why})"
    )


def unrunnable(where: str, kernels: Kernels, why: str) -> RequestError:
    """Return the error for a file that the runtime loads, but does not run."""
    return RequestError(
        f"{where}: {kernels.runtime} cannot run it: damaged, or it asks for what the runtime"
        f" cannot do ({why})"
    )


@dataclass(frozen=True, eq=False)
class _InProcessRunner:
    interpreter: Any
    opened: Opened
    kernels: Kernels

    def run(self, image: Array) -> list[Array]:
        """Return the outputs of one image; raise RequestError where the runtime cannot run it."""
        try:
            return run_file(self.interpreter, image)
        except (RuntimeError, ValueError) as error:
            raise unrunnable(IN_PROCESS, self.kernels, reason(error)) from error


def _end(entry: dict[str, Any]) -> End:
    return End(
        name=str(entry["name"]),
        shape=tuple(int(size) for size in entry["shape"]),
        dtype=np.dtype(str(entry["dtype"])).name,
        scale=float(entry["scale"]),
        zero_point=int(entry["zero_point"]),
    )
