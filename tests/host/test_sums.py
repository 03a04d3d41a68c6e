"""SHA256SUMS: the format of sha256sum, and no damage that is not noticed."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from host.results import NAMES, write_result
from intaglio.errors import RequestError
from intaglio.host.sums import read_sums, verify_sums, write_sums


@pytest.fixture
def result(tmp_path: Path) -> Path:
    write_result(tmp_path / "out", "new")
    return tmp_path / "out"


def test_the_sums_are_those_of_the_files(result: Path) -> None:
    expected = {
        name: hashlib.sha256((result / name).read_bytes()).hexdigest()
        for name in NAMES - {"SHA256SUMS"}
    }

    assert read_sums(result) == expected
    assert verify_sums(result)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_sha256sum_reads_them(result: Path) -> None:
    subprocess.run(
        ["sha256sum", "--strict", "--check", "SHA256SUMS"],
        cwd=result,
        check=True,
        capture_output=True,
    )


def test_without_sums_nothing_is_claimed(result: Path) -> None:
    (result / "SHA256SUMS").unlink()

    assert not verify_sums(result)


def test_files_of_the_user_beside_the_result_are_no_damage(result: Path) -> None:
    (result / "notes.txt").write_text("thoughts")

    assert verify_sums(result)


def test_every_changed_missing_or_added_file_is_named(result: Path) -> None:
    model = result / "model.tflite"
    content = model.read_bytes()
    for damaged, said in ((content[:-1], "is not what"), (content + b"x", "is not what")):
        model.write_bytes(damaged)
        with pytest.raises(RequestError, match=rf"damaged: model\.tflite {said}"):
            verify_sums(result)
    model.unlink()
    with pytest.raises(RequestError, match=r"model\.tflite is missing"):
        verify_sums(result)
    os.mkfifo(model)  # nothing waits for it
    with pytest.raises(RequestError, match=r"model\.tflite is missing"):
        verify_sums(result)
    model.unlink()
    model.write_bytes(content)
    (result / "encodings.json").write_text("{}")
    with pytest.raises(RequestError, match=r"encodings\.json is not listed"):
        verify_sums(result)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"nonsense\n", b"\xff\n", b"0" * 64, b"0" * 64 + b"  ../../etc/passwd\n"],
)
def test_sums_that_are_none_are_refused(result: Path, content: bytes) -> None:
    (result / "SHA256SUMS").write_bytes(content)

    with pytest.raises(RequestError, match="incomplete or damaged: SHA256SUMS"):
        verify_sums(result)


def test_any_flipped_bit_of_any_file_is_noticed(result: Path) -> None:
    draw = random.Random(0)
    for name in NAMES:
        content = (result / name).read_bytes()
        for _ in range(100):
            place = draw.randrange(len(content))
            flipped = content[place] ^ (1 << draw.randrange(8))
            (result / name).write_bytes(content[:place] + bytes([flipped]) + content[place + 1 :])
            with pytest.raises(RequestError, match="incomplete or damaged"):
                verify_sums(result)
        (result / name).write_bytes(content)


def test_a_name_that_no_file_can_have_is_told(result: Path) -> None:
    sums = result / "SHA256SUMS"
    sums.write_text(sums.read_text() + f"{'0' * 64}  {'x' * 300}\n")

    with pytest.raises(RequestError, match="cannot be read"):
        verify_sums(result)


def test_a_sum_stated_twice_is_refused(result: Path) -> None:
    sums = result / "SHA256SUMS"
    sums.write_text(sums.read_text() + sums.read_text())

    with pytest.raises(RequestError, match="is not a list of SHA-256 sums"):
        read_sums(result)


def test_writing_again_changes_nothing(result: Path) -> None:
    before = (result / "SHA256SUMS").read_bytes()

    write_sums(result)

    assert (result / "SHA256SUMS").read_bytes() == before
