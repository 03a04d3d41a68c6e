"""Mutants of one format, read one after the other in a child process that they may take down.

The child is forked once for many mutants and tells the outcome of each; when it dies, or one mutant
takes STALL_S of its core, the mutant whose turn it was gets the blame, and a new child goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fuzz.formats import ChildEnded, Format
from benchmarks.fuzz.mutations import mutant
from intaglio.errors import RequestError

SEED = "intaglio"
STALL_S, LONGEST_WAIT_S = 20.0, 300.0
"""Seconds of a core, so that a busy machine is no stall; and of waiting, whatever for."""
MEMORY_BYTES = 4 * 2**30
"""What a mutant may take beside what the parent has."""
LONGEST_MESSAGE = 4000
HARNESS_FAILED = 70
"""Exit status of a child that failed outside of reading: a defect of this package."""
REFUSED, CHILD_ENDED, EQUAL, OTHER = "refused", "child_ended", "equal", "other"
TRACEBACK, CRASH, STALL = "traceback", "crash", "stall"


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant.

    Attributes:
        number: Which.
        kind: REFUSED (a RequestError of one line), CHILD_ENDED (one that says so), EQUAL (read with
            the sample's content), OTHER, TRACEBACK (any other exception), CRASH (the process died)
            or STALL.
        text: The error, shortened.
        seconds: Wall time.
    """

    number: int
    kind: str
    text: str
    seconds: float


def outcomes(format_: Format, content: bytes, digest: str, count: int) -> Iterator[Outcome]:
    """Yield the outcome of each mutant.

    Args:
        format_: Its sample lies in place.
        content: The sample's bytes.
        digest: What reading the sample gives.
        count: How many mutants.
    """
    number = 0
    while number < count:
        process, reader = _forked(format_, content, digest, range(number, count))
        began, outcome = time.monotonic(), None
        try:
            for outcome in _told(reader, process, number):
                yield outcome
                number, began = outcome.number + 1, time.monotonic()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            _, status = os.waitpid(process, 0)
            os.close(reader)
        if os.waitstatus_to_exitcode(status) == HARNESS_FAILED:
            raise RuntimeError(f"mutant {number} of '{format_.name}' cannot be made")
        if number < count and (outcome is None or outcome.kind != STALL):
            seconds = round(time.monotonic() - began, 3)
            yield Outcome(number, CRASH, f"wait status {status}", seconds)
            number += 1


def _told(reader: int, process: int, first: int) -> Iterator[Outcome]:
    """Yield what the child tells, until it ends or one mutant has taken too long."""
    rest, number, began, began_cpu = b"", first, time.monotonic(), 0.0
    while True:
        ready, _, _ = select.select([reader], [], [], 1.0)
        if not ready:
            used, waited = _cpu_seconds(process) - began_cpu, time.monotonic() - began
            if used < STALL_S and waited < LONGEST_WAIT_S:
                continue
            yield Outcome(number, STALL, f"{used:.0f} s of a core", round(waited, 3))
            return
        piece = os.read(reader, 2**16)
        if not piece:
            return
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield Outcome(number, *json.loads(line))
            number += 1
        began, began_cpu = time.monotonic(), _cpu_seconds(process)


def _cpu_seconds(process: int) -> float:
    """Return what a process has used of the processor so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _forked(format_: Format, content: bytes, digest: str, numbers: range) -> tuple[int, int]:
    """Return a child's process id and the pipe that it tells outcomes through."""
    reader, writer = os.pipe()
    process = os.fork()
    if process:
        os.close(writer)
        return process, reader
    status = HARNESS_FAILED
    try:  # whatever happens, the child never goes on as its parent
        os.close(reader)
        _limit()
        for number in numbers:
            began = time.monotonic()
            format_.place.write_bytes(mutant(content, format_.mutation, _seed(format_), number))
            kind, text = _read(format_, digest)
            line = json.dumps([kind, text[:300], round(time.monotonic() - began, 3)])
            os.write(writer, line.encode() + b"\n")
        status = 0
    finally:
        os._exit(status)


def _seed(format_: Format) -> str:
    return f"{SEED} {format_.name}"


def _limit() -> None:
    """Bound memory; no core files, and what native code prints goes nowhere."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _read(format_: Format, digest: str) -> tuple[str, str]:
    try:
        format_.prepare()
        found = format_.read()
    except RequestError as error:
        message = str(error)
        if "\n" in message or len(message) > LONGEST_MESSAGE:
            return TRACEBACK, f"a message of {len(message)} letters: {message}"
        return CHILD_ENDED if isinstance(error, ChildEnded) else REFUSED, message
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        return TRACEBACK, f"{type(error).__name__} at {where}: {error}"
    return (EQUAL if found == digest else OTHER), ""
