"""LiteRT on another x86 processor: the interpreter in a process that qemu-user emulates it for.

XNNPACK asks the processor itself for its instructions, so no variable makes it take the kernels of
an older one. With INTAGLIO_TEST_CPU=Haswell (AVX2, no AVX-512) or Nehalem (SSE4.2), conftest.py
puts `Interpreter` in the place of LiteRT's: every file that a test runs is run by the real LiteRT
in one emulated process, and everything else, torch first, runs as fast as ever. So the bit tests
keep all of their cases, and compare what this processor's twin computes with what another one's
runtime does. Run as a program, this file is that process; it imports neither torch nor intaglio.
"""

from __future__ import annotations

import atexit
import builtins
import functools
import os
import shutil
import socket
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import ai_edge_litert
import numpy as np
from ai_edge_litert import interpreter as litert

EMULATOR = "qemu-x86_64"
PROCESSORS = {
    "Haswell": "Haswell-noTSX,-pcid,-x2apic,-tsc-deadline,-invpcid",
    "Nehalem": "Nehalem",
}
"""Name to qemu's; without what qemu-user 7.2 only warns about."""
FEATURES = ("SSE42", "AVX2", "FMA3", "AVX512F", "AVX512_ICL")
"""Of numpy's list, which asks the processor as XNNPACK does; AVX512_ICL has VNNI among others."""


def command(processor: str, *arguments: str) -> list[str]:
    """Return the words that run this Python, without its virtual environment, emulated.

    Raises:
        RuntimeError: If the emulator is not installed, or knows no such processor.
    """
    emulator = shutil.which(EMULATOR)
    if emulator is None:
        raise RuntimeError(f"{EMULATOR} is missing: apt-get install qemu-user")
    if processor not in PROCESSORS:
        raise RuntimeError(f"INTAGLIO_TEST_CPU={processor}: one of {', '.join(PROCESSORS)}")
    return [emulator, "-cpu", PROCESSORS[processor], os.path.realpath(sys.executable), *arguments]


def environment() -> dict[str, str]:
    """Return this process's variables, with its packages in PYTHONPATH."""
    packages = str(Path(ai_edge_litert.__file__).resolve().parent.parent)
    return {**os.environ, "PYTHONPATH": packages}


class Interpreter:
    """Stands for an interpreter of the emulated process: every call is made there."""

    def __init__(self, **settings: Any) -> None:
        self._number = emulated().ask("open", settings)

    def __getattr__(self, name: str) -> Any:
        return functools.partial(emulated().ask, "call", self._number, name)

    def __del__(self) -> None:
        if "_number" in self.__dict__:
            emulated().forget(self._number)


class Process:
    """The emulated process. Both ends of the line are ours, so objects may travel as pickles."""

    def __init__(self, processor: str) -> None:
        ours, theirs = socket.socketpair()
        words = command(processor, __file__, str(theirs.fileno()))
        self._process = subprocess.Popen(words, env=environment(), pass_fds=[theirs.fileno()])
        theirs.close()
        self._line = Connection(ours.detach())
        self._lock = threading.Lock()
        self._gone: list[int] = []

    def forget(self, number: int) -> None:
        """Let the next request close an interpreter: garbage is collected in the middle of one."""
        self._gone.append(number)

    def ask(self, *request: Any) -> Any:
        """Return what the request gave there, or raise what it raised."""
        with self._lock:
            gone, self._gone = self._gone, []
            self._line.send((gone, *request))
            failure, answer = self._line.recv()
        if failure is not None:
            raise getattr(builtins, failure, RuntimeError)(answer)
        return answer

    def end(self) -> None:
        """Close the line, at which the process ends."""
        self._line.close()
        self._process.wait()


@functools.cache
def emulated() -> Process:
    """Return the one emulated process, started when it is needed first; it ends with this one."""
    process = Process(os.environ["INTAGLIO_TEST_CPU"])
    atexit.register(process.end)
    return process


def features() -> str:
    """Return which of FEATURES this process's processor has, as text."""
    has = np._core._multiarray_umath.__cpu_features__
    return " ".join(f"{name.lower()}={'yes' if has[name] else 'no'}" for name in FEATURES)


def serve(line: Connection) -> None:
    """Answer requests until the other end closes."""
    held: dict[int, Any] = {}
    while True:
        try:
            gone, kind, *rest = line.recv()
        except EOFError:
            return
        for number in gone:
            del held[number]
        try:
            line.send((None, _answer(held, kind, rest)))
        except Exception as error:  # whatever the runtime raises is raised again at the other end
            line.send((type(error).__name__, str(error)))


def _answer(held: dict[int, Any], kind: str, rest: list[Any]) -> Any:
    if kind == "features":
        return features()
    if kind == "open":
        number = max(held, default=0) + 1
        held[number] = litert.Interpreter(**rest[0])
        return number
    number, name, *arguments = rest
    return getattr(held[number], name)(*arguments)


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
