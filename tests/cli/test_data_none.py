"""--data none: no image is opened before the network is made, as the operating system sees it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cli.tiny import CLASSIFIER, intaglio, printed_json
from forks import python

WATCHED = """
import json, sys
opened, made = [], []

def hook(event, arguments):
    if event == "open" and str(arguments[0]).lower().endswith((".png", ".jpg", ".jpeg")):
        opened.append([str(arguments[0]), bool(made)])

sys.addaudithook(hook)
from intaglio.job import produce

written = produce._written

def noted(*arguments):
    files = written(*arguments)
    made.append(True)
    return files

produce._written = noted
if {peeks}:
    run_steps = produce.run_without_images

    def peeking(*arguments, **more):
        next(__import__("pathlib").Path("images").rglob("*.png")).read_bytes()
        return run_steps(*arguments, **more)

    produce.run_without_images = peeking
from intaglio.cli.main import main

code = main({arguments})
print(json.dumps([code, opened]), file=sys.stderr)
"""


def watched(arguments: tuple[str, ...], *, peeks: bool = False) -> list[list[object]]:
    """Run the command in a process that notes every opening of an image: path, after the file."""
    done = python(WATCHED.format(arguments=list(arguments), peeks=peeks))
    code, opened = json.loads(done.stderr.strip().splitlines()[-1])
    assert code == 0, done.stderr
    return opened


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_no_image_is_opened_but_those_of_eval_behind_the_written_network(place: Path) -> None:
    arguments = ("compress", *CLASSIFIER, "--data", "none", "--eval", "images", "--out", "out")

    opened = watched((*arguments, "--json"))

    assert len(opened) >= 12
    assert all(is_behind for _, is_behind in opened)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_watch_sees_a_run_that_looks_at_an_image_before(place: Path) -> None:
    arguments = ("compress", *CLASSIFIER, "--data", "none", "--out", "out", "--json")

    assert [is_behind for _, is_behind in watched(arguments, peeks=True)] == [False]


def test_evaluating_changes_nothing_of_what_is_written(place: Path) -> None:
    arguments = ("compress", *CLASSIFIER, "--data", "none", "--out")

    assert intaglio(*arguments, "alone") == 0
    assert intaglio(*arguments, "judged", "--eval", "images") == 0

    for name in ("model.tflite", "encodings.json"):
        assert Path("alone", name).read_bytes() == Path("judged", name).read_bytes(), name


def test_the_report_says_that_there_were_no_images(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    arguments = ("compress", *CLASSIFIER, "--data", "none", "--out", "out", "--json")

    assert intaglio(*arguments) == 0

    report = printed_json(capsys)
    assert report["data"] == "none"
    assert report["check"]["mismatches"] == 0


@pytest.mark.parametrize("command", ["train", "surgery"])
def test_what_learns_refuses_to_do_without(
    place: Path, command: str, capsys: pytest.CaptureFixture
) -> None:
    assert intaglio(command, *CLASSIFIER, "--data", "none", "--out", "out") == 2

    said = capsys.readouterr().err
    assert "nothing to learn from" in said
    assert not Path("out").exists()


def test_the_report_says_first_that_no_image_was_opened(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    assert intaglio("compress", *CLASSIFIER, "--data", "none", "--out", "out") == 0

    page = Path("out/report.html").read_text(encoding="utf-8")
    assert "no image was opened" in page[: page.index("Summary")]
    assert "8 images of noise" in " ".join(capsys.readouterr().out.split())
