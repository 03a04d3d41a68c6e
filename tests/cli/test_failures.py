"""One line on standard error, an exit code, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.tiny import CALIBRATION, CLASSIFIER, intaglio
from intaglio.cli import compressed as compressed_module
from intaglio.cli.failures import one_line


def refused(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """Run a command that must be refused; return its line."""
    assert intaglio(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("intaglio: error: ")
    return err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["command", "intaglio --help"]),
        (("modles",), ["unknown command 'modles'", "'models'"]),
        (("transplant",), ["unknown command 'transplant'"]),
        (("models", "--jsom"), ["unknown option --jsom", "did you mean --json?"]),
        (("models", "extra"), ["extra"]),
        (("compress",), ["MODEL", "intaglio compress --help"]),
        (("compress", "a", "--data"), ["--data"]),
        (("compress", "a", "--data", "b", "--limit", "few"), ["--limit"]),
        (("compress", "a", "--data", "b", "--limit", "0"), ["--limit", "0"]),
        (("compress", "a", "--data", "b", "--seed", "-1"), ["--seed"]),
        (("evaluate", "a.tflite"), ["--eval"]),
        (("check", "a"), ["--data"]),
    ],
)
def test_a_wrong_command_line_is_one_line(
    capsys: pytest.CaptureFixture, arguments: tuple[str, ...], words: list[str]
) -> None:
    line = refused(capsys, *arguments)

    assert [word for word in words if word not in line] == []


@pytest.mark.parametrize("option", ["--max-size", "--hours", "--threads"])
def test_an_option_that_nothing_serves_is_unknown(
    capsys: pytest.CaptureFixture, option: str
) -> None:
    assert f"unknown option {option}" in refused(capsys, "compress", "a", option, "1")


@pytest.mark.parametrize("arguments", [("--help",), ("compress", "--help"), ("--version",)])
def test_help_is_no_failure(capsys: pytest.CaptureFixture, arguments: tuple[str, ...]) -> None:
    assert intaglio(*arguments) == 0

    out, err = capsys.readouterr()
    assert "intaglio" in out
    assert err == ""


def test_one_line_joins_and_escapes() -> None:
    assert one_line("a  name\nwith \x1b[31mred\x07 and \udcff, é") == (
        "a  name\\nwith \\x1b[31mred\\x07 and \\udcff, é"
    )


def test_names_that_steer_the_terminal_are_escaped(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    Path("images/c0/\x1b[2J\n.png").write_bytes(b"no image")

    line = refused(capsys, "compress", *CLASSIFIER, *CALIBRATION, "--out", "out")

    assert "\\x1b[2J\\n.png" in line


def test_a_defect_of_ours_is_one_line_a_traceback_and_exit_code_1(
    place: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("a step divided by 0")

    monkeypatch.setattr(compressed_module, "compress_graph", broken)

    assert intaglio("compress", *CLASSIFIER, *CALIBRATION, "--out", "out") == 1

    err = capsys.readouterr().err.splitlines()
    assert err[0] == "intaglio: error: ZeroDivisionError: a step divided by 0"
    assert err[1].startswith("Traceback")
    assert not Path("out").exists()


def test_an_interrupt_leaves_nothing_and_exits_with_130(
    place: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(compressed_module, "compress_graph", interrupted)
    before = sorted(place.iterdir())

    assert intaglio("compress", *CLASSIFIER, *CALIBRATION, "--out", "out") == 130

    assert "interrupted" in capsys.readouterr().err
    assert sorted(place.iterdir()) == before


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_standard_output_on_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "intaglio", "recipes", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "standard output cannot be written" in done.stderr


@pytest.mark.slow
def test_the_module_is_the_command(place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "intaglio", "compress", *CLASSIFIER, *CALIBRATION, "--out", "out"],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0
    assert done.stderr == ""  # no progress of a short run, no greeting of the runtime
    assert "0 mismatches" in done.stdout
