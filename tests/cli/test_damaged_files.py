"""A damaged .tflite, or one that its runtime does not survive, costs the command one line."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.tiny import CALIBRATION, intaglio
from intaglio.host.sums import write_sums
from intaglio.runtimes.litert.format.verify import LARGEST_BYTES
from runtimes.litert.small_files import edited, patched


def one_line(captured: pytest.CaptureFixture) -> str:
    """Return what was told: one line on the process's standard error, and nothing else."""
    out, err = captured.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("intaglio: error: ")
    return str(err)


def replace_file(change: Callable[[bytes], bytes]) -> None:
    """Change the file in the folder `result`, as if it had been written so, and alone."""
    file = Path("result/model.tflite")
    file.write_bytes(change(file.read_bytes()))
    write_sums(Path("result"))
    shutil.copy(file, "alone.tflite")


def with_a_scale_of_0(content: bytes) -> bytes:
    """Return the file with a scale for its input's integers at which LiteRT reads beyond memory."""

    def change(model: Any) -> None:
        tensors = {tensor.name: tensor for tensor in model.subgraphs[0].tensors}
        tensors[b"input"].quantization.scale = np.zeros(1, np.float32)

    return edited(content, change)


def with_unknown_version(content: bytes) -> bytes:
    """Return the file with operators of a version that the runtime lacks."""
    return edited(content, lambda model: vars(model.operatorCodes[1]).update(version=99))


def without_its_end(content: bytes) -> bytes:
    return content[:1000]


def with_weights_of_nowhere(content: bytes) -> bytes:
    return edited(content, lambda model: vars(model.subgraphs[0].tensors[0]).update(buffer=500))


def with_names_that_are_no_text(content: bytes) -> bytes:
    return patched(content, content.index(b"0.weight\0"), b"\xff\xff")


DAMAGE = [
    (with_a_scale_of_0, "crashed while loading it (signal SIGSEGV"),
    (with_unknown_version, "cannot load it"),
    (without_its_end, "of 1000"),
    (with_weights_of_nowhere, "the buffer of tensor 0"),
    (with_names_that_are_no_text, "is no text"),
]


@pytest.mark.parametrize(("damage", "told"), DAMAGE)
def test_check_tells_a_damaged_file_in_one_line(
    place: Path, capfd: pytest.CaptureFixture, damage: Callable[[bytes], bytes], told: str
) -> None:
    replace_file(damage)
    capfd.readouterr()

    assert intaglio("check", "result", *CALIBRATION) == 2

    line = one_line(capfd)
    assert told in line
    assert "result/model.tflite: " in line


@pytest.mark.parametrize(("damage", "told"), DAMAGE)
def test_evaluate_tells_a_damaged_file_in_one_line(
    place: Path, capfd: pytest.CaptureFixture, damage: Callable[[bytes], bytes], told: str
) -> None:
    replace_file(damage)
    capfd.readouterr()

    assert intaglio("evaluate", "alone.tflite", "--eval", "images") == 2

    line = one_line(capfd)
    assert told in line
    assert "alone.tflite: " in line


def test_check_of_a_file_with_other_outputs_is_refused(
    place: Path, capfd: pytest.CaptureFixture
) -> None:
    replace_file(
        lambda content: edited(
            content, lambda model: vars(model.subgraphs[0]).update(outputs=[1, 2])
        )
    )
    capfd.readouterr()

    assert intaglio("check", "result", *CALIBRATION) == 2

    assert "has 2 outputs, its twin 1: not a pair" in one_line(capfd)


def test_a_file_too_large_for_the_format_is_not_read(
    place: Path, capfd: pytest.CaptureFixture
) -> None:
    with open("large.tflite", "wb") as file:
        file.truncate(LARGEST_BYTES + 1)  # it takes no room on the disk

    assert intaglio("evaluate", "large.tflite", "--eval", "images") == 2

    assert f"has {LARGEST_BYTES + 1} bytes" in one_line(capfd)


def test_a_pipe_is_not_waited_for(place: Path, capfd: pytest.CaptureFixture) -> None:
    os.mkfifo("pipe.tflite")

    assert intaglio("evaluate", "pipe.tflite", "--eval", "images") == 2

    assert "pipe.tflite: cannot be read: it is not a file" in one_line(capfd)
