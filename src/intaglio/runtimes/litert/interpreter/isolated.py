"""A file that was read from a disk, run in a child process that it may take down.

What the child does, crash, hang, take all memory or answer nonsense, ends as a RequestError.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from intaglio.errors import RequestError
from intaglio.runtimes.litert.format.layout import Array
from intaglio.runtimes.litert.interpreter import program as interpreter
from intaglio.runtimes.litert.interpreter.program import Header, receive, send
from intaglio.runtimes.litert.interpreter.runner import (
    Opened,
    OpenedFile,
    Opener,
    as_opened,
    unloadable,
    unrunnable,
)
from intaglio.runtimes.litert.interpreter.runtime import Kernels

TIME_LIMIT_S = 300.0
"""For loading a file, and for each image: reference kernels take a minute for large networks."""
END_LIMIT_S = 5.0
PIPE_BYTES = 1 << 20
LAST_BYTES = 4096
CHATTER = ("INFO:", "WARNING:")
"""How lines of the runtime begin that are no reason to end."""


@contextmanager
def isolated(
    kernels: Kernels, *, where: str, time_limit_s: float = TIME_LIMIT_S
) -> Iterator[Opener]:
    """Start a child process that opens files, and ends with the context.

    The files that it opens have passed `verify`.

    Args:
        where: The file's name, for messages.
        time_limit_s: For loading a file, and for each image.

    Raises:
        RequestError: If it cannot be started; later, if the runtime cannot load or run a file, and
            for whatever the child comes to.
    """
    with _started(where, kernels, time_limit_s) as child:
        yield _Isolated(child)


def child_command() -> list[str]:
    """Return the command that starts the child of this process."""
    return [sys.executable, "-P", interpreter.__file__, str(os.getpid())]


def child_environment() -> dict[str, str]:
    """Return the child's environment: this process's, and its places of modules."""
    places = [place or os.getcwd() for place in sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places), "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True, eq=False)
class _Isolated:
    child: _Child

    def open(self, content: bytes) -> OpenedFile:
        """Return the file, opened in the child; raise RequestError where it cannot be loaded."""
        child = self.child
        header = {"is_reference": child.kernels.is_reference, "threads": 1}
        answer, _ = child.ask("loading it", header, [np.frombuffer(content, np.uint8)])
        if "error" in answer:
            raise unloadable(child.where, child.kernels, str(answer["error"]))
        try:
            return _IsolatedRunner(child, as_opened(answer), int(answer["file"]))
        except (ValueError, KeyError, TypeError) as error:
            raise child.refuse(f"gave a senseless answer while loading it ({error})") from error


@dataclass(frozen=True, eq=False)
class _IsolatedRunner:
    child: _Child
    opened: Opened
    file: int

    def run(self, image: Array) -> list[Array]:
        """Return the outputs of one image; raise RequestError where the child cannot run it."""
        answer, arrays = self.child.ask("running it", {"file": self.file}, [image])
        if "error" in answer:
            raise unrunnable(self.child.where, self.child.kernels, str(answer["error"]))
        if len(arrays) != len(self.opened.outputs):
            raise self.child.refuse(f"gave {len(arrays)} outputs while running it")
        return arrays


@dataclass(eq=False)
class _Child:
    """The child process.

    Attributes:
        sink, source: The pipes to it and from it.
        messages: The file that is its standard error.
        is_late: Whether it was ended because it took too long.
    """

    process: subprocess.Popen[bytes]
    sink: IO[bytes]
    source: IO[bytes]
    messages: IO[bytes]
    where: str
    kernels: Kernels
    time_limit_s: float
    is_late: bool = False

    def ask(
        self, doing: str, header: Header, arrays: Sequence[Array]
    ) -> tuple[dict[str, Any], list[Array]]:
        """Return the answer to one message; what else happens is a RequestError."""
        watch = threading.Timer(self.time_limit_s, self._end_late)
        watch.daemon = True
        watch.start()
        try:
            send(self.sink, header, arrays)
            return receive(self.source)
        except (OSError, EOFError) as error:
            raise self._obituary(doing) from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self.refuse(f"gave a senseless answer while {doing} ({error})") from error
        finally:
            watch.cancel()

    def refuse(self, problem: str) -> RequestError:
        """Return the error for a child that is of no more use."""
        return RequestError(
            f"{self.where}: {self.kernels.runtime} {problem}: the file is damaged, or asks for what"
            " the runtime cannot do"
        )

    def end(self) -> None:
        """End the process and leave nothing of it."""
        self.process.kill()
        for pipe in (self.sink, self.source):
            with contextlib.suppress(OSError):
                pipe.close()
        self.process.wait()

    def _end_late(self) -> None:
        self.is_late = True
        self.process.kill()

    def _obituary(self, doing: str) -> RequestError:
        """Return the error for a child that does not answer: why, and its last words."""
        try:
            code = self.process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            return self.refuse(f"stopped answering while {doing}")
        if self.is_late:
            return self.refuse(f"took more than {self.time_limit_s:g} s for {doing}")
        words = self._last_words()
        how = f"signal {_signal_name(-code)}" if code < 0 else f"exit code {code}"
        return self.refuse(f"crashed while {doing} ({how}{f', {words}' if words else ''})")

    def _last_words(self) -> str:
        size = self.messages.seek(0, os.SEEK_END)
        self.messages.seek(max(0, size - LAST_BYTES))
        text = self.messages.read().decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines()]
        said = [line for line in lines if line and not line.startswith(CHATTER)]
        return said[-1] if said else ""


@contextmanager
def _started(where: str, kernels: Kernels, time_limit_s: float) -> Iterator[_Child]:
    with contextlib.ExitStack() as stack:
        try:
            messages = stack.enter_context(tempfile.TemporaryFile())
            process = _start(messages)
        except OSError as error:
            raise RequestError(
                f"{where}: the process that would run it cannot be started: {error.strerror}"
            ) from error
        assert process.stdin is not None
        assert process.stdout is not None
        child = _Child(
            process, process.stdin, process.stdout, messages, where, kernels, time_limit_s
        )
        stack.callback(child.end)
        _widen(child.sink, child.source)
        yield child


def _start(messages: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        child_command(),
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=messages,
        env=child_environment(),
        start_new_session=True,  # Ctrl-C is for this process, which ends the child
    )


def _widen(*pipes: IO[bytes]) -> None:
    """Let the pipes hold more than the usual 64 KiB, where the system has a way to say so."""
    if not hasattr(fcntl, "F_SETPIPE_SZ"):
        return
    for pipe in pipes:
        with contextlib.suppress(OSError):  # the user's share of such memory may be used up
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
