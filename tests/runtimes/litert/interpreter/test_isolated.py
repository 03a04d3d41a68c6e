"""A file from a disk runs in a child process: to the same bits, and it takes nothing down."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from intaglio.errors import RequestError
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.format.builder import Array
from intaglio.runtimes.litert.interpreter import program as interpreter
from intaglio.runtimes.litert.interpreter.exposed import expose_tensors
from intaglio.runtimes.litert.interpreter.isolated import child_environment, isolated
from intaglio.runtimes.litert.interpreter.program import receive, send
from intaglio.runtimes.litert.interpreter.runner import InProcess
from intaglio.targets.target import Target
from runtimes.litert.small_files import edited, huge_file, linear_file, slow_file, softmax_file

IMAGES = np.random.default_rng(0).integers(-128, 128, (5, 1, 8)).astype(np.int8)


def message_of(content: bytes, target: Target, image: Array, **limits: float) -> str:
    """Return what is told of a file that does not run in a child; it is one line."""
    with (
        pytest.raises(RequestError) as caught,
        isolated(target, where="net.tflite", **limits) as runtime,
    ):
        runtime.open(content).run(image)
    message = str(caught.value)
    assert message.startswith("net.tflite: ai-edge-litert ")
    assert message.isprintable()
    return message


def children() -> set[int]:
    """Return the processes that this one has started, those that have ended unnoticed too."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                found.add(int(status.parent.name))
    return found


@pytest.fixture(autouse=True)
def _no_child_is_left() -> Iterator[None]:
    before = children()
    yield
    assert children() == before


@pytest.mark.parametrize("target", [LITERT, LITERT_REFERENCE], ids=lambda target: target.name)
def test_a_child_gives_the_bits_of_this_process(target: Target) -> None:
    here = InProcess(target)
    files = [linear_file(), expose_tensors(softmax_file(10))]

    with isolated(target, where="net.tflite") as runtime:
        for content in files:
            there, own = runtime.open(content), here.open(content)
            assert there.opened == own.opened
            for image in IMAGES:
                given = np.resize(image, own.opened.inputs[0].shape)
                for found, expected in zip(there.run(given), own.run(given), strict=True):
                    assert found.dtype == expected.dtype
                    assert np.array_equal(found, expected)


def test_two_files_are_kept_apart_in_one_child() -> None:
    with isolated(LITERT, where="net.tflite") as runtime:
        first, second = runtime.open(linear_file()), runtime.open(softmax_file(8))
        scores = [runner.run(IMAGES[0])[0] for runner in (first, second, first)]

    assert scores[0].shape == (1, 4)
    assert scores[1].shape == (1, 8)
    assert np.array_equal(scores[0], scores[2])


def test_an_image_of_the_wrong_shape_is_told_and_the_child_goes_on() -> None:
    with isolated(LITERT, where="net.tflite") as runtime:
        runner = runtime.open(linear_file())
        with pytest.raises(RequestError, match=r"cannot run it.*Dimension mismatch"):
            runner.run(np.zeros((1, 9), np.int8))

        assert len(runner.run(IMAGES[0])) == 1


@pytest.mark.parametrize("open_it", ["here", "there"])
def test_what_the_runtime_raises_while_loading_is_told(open_it: str) -> None:
    content = edited(linear_file(), lambda model: vars(model.operatorCodes[0]).update(version=99))

    with isolated(LITERT, where="the file") as child:
        runtime = child if open_it == "there" else InProcess(LITERT)
        with pytest.raises(RequestError, match=r"the file: ai-edge-litert .* cannot load it"):
            runtime.open(content)


def test_a_crash_of_the_runtime_is_told_in_one_line() -> None:
    message = message_of(softmax_file(600), LITERT_REFERENCE, np.zeros((1, 600), np.int8))

    assert "crashed while running it (signal SIGABRT" in message
    assert "the file is damaged, or asks for what the runtime cannot do" in message


@pytest.mark.slow
def test_a_file_that_takes_too_long_is_ended() -> None:
    began = time.monotonic()
    image = np.zeros((1, 128, 128, 128), np.float32)

    message = message_of(slow_file(), LITERT_REFERENCE, image, time_limit_s=1.0)

    assert "took more than 1 s for" in message
    assert time.monotonic() - began < 8.0


def test_a_file_that_takes_all_memory_is_refused() -> None:
    message = message_of(huge_file(), LITERT, np.zeros(1, np.float32))

    assert "cannot load it" in message or "crashed while" in message


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("pass", "crashed while loading it (exit code 0)"),
        (
            "sys.exit('first\\nINFO: chatter\\nlast words\\nINFO: more')",
            "(exit code 1, last words)",
        ),
        ("os.kill(os.getpid(), 11)", "crashed while loading it (signal SIGSEGV)"),
        ("os.write(1, b'GIF89a and other things')", "gave a senseless answer while loading it"),
        ("os.write(1, b'\\xff\\xff\\xff\\xff')", "a header of 4294967295 bytes"),
        ("answer({'arrays': [['float32', [-1]]]})", "arrays that are none"),
        ("answer({'arrays': [['O', [1]]]})", "arrays that are none"),
        ("answer({'arrays': [['float32', [1 << 40]]]})", "arrays of 4398046511104 bytes"),
        ("answer({'arrays': [['nothing', [1]]]})", "gave a senseless answer"),
        ("answer({'arrays': 5})", "gave a senseless answer"),
        ("answer([])", "gave a senseless answer"),
        ("answer({'arrays': []})", "gave a senseless answer while loading it ('inputs')"),
        ("os.write(1, b'[' * 100)", "gave a senseless answer"),
    ],
)
def test_whatever_a_child_answers_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, problem: str
) -> None:
    """The damaged file may have written over anything in the child: this script stands for it."""
    script = tmp_path / "child.py"
    script.write_text(STANDS_FOR_A_CHILD + answer, encoding="utf-8")
    monkeypatch.setattr(interpreter, "__file__", str(script))

    assert problem in message_of(b"a file", LITERT, IMAGES[0])


STANDS_FOR_A_CHILD = """
import json, os, struct, sys

def answer(header):
    text = json.dumps(header).encode()
    os.write(1, struct.pack("<I", len(text)) + text)
    while os.read(0, 1 << 16):  # not gone before all that was asked is written
        pass

os.read(0, 1 << 16)
"""


def test_a_child_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    with (
        pytest.raises(RequestError, match="cannot be started: No such file"),
        isolated(LITERT, where="net.tflite"),
    ):
        pass


def test_an_interruption_ends_the_child() -> None:
    before = children()

    def interrupted() -> None:
        with isolated(LITERT, where="net.tflite") as runtime:
            runtime.open(linear_file())
            assert len(children() - before) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()


STANDS_FOR_A_PARENT = """
import os, subprocess, sys, time
command = [sys.executable, "-P", sys.argv[1], str(os.getpid())]
child = subprocess.Popen(command, stdout=int(sys.argv[2]))
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_busy_child_ends_when_its_parent_is_killed() -> None:
    """The pipe to it stays open, so that its end is not what ends it."""
    (child_in, parent_out), (parent_in, child_out) = os.pipe(), os.pipe()
    with (
        open(parent_out, "wb", buffering=0) as sink,
        open(parent_in, "rb", buffering=0) as source,
        subprocess.Popen(
            [sys.executable, "-c", STANDS_FOR_A_PARENT, interpreter.__file__, str(child_out)],
            stdin=child_in,
            stdout=subprocess.PIPE,
            pass_fds=[child_out],
            env=child_environment(),
        ) as parent,
    ):
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        header = {"is_reference": True, "threads": 1}
        send(sink, header, [np.frombuffer(slow_file(), np.uint8)])
        assert receive(source)[0]["file"] == 0
        send(sink, {"file": 0}, [np.zeros((1, 128, 128, 128), np.float32)])
        assert is_running(child)

        parent.send_signal(signal.SIGKILL)
        parent.wait()

        wait_until(lambda: not is_running(child))
    os.close(child_in)
    os.close(child_out)


def is_running(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def wait_until(condition: Callable[[], bool], limit_s: float = 5.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_child_needs_neither_torch_nor_intaglio() -> None:
    code = "import sys, runpy; runpy.run_path(sys.argv[1]); print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-P", "-c", code, interpreter.__file__],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = {name.partition(".")[0] for name in ran.stdout.split()}

    assert not loaded & {"torch", "intaglio", "tensorflow"}
