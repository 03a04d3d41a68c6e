"""The demo: its data is split as it says, its checkpoint fits, and it ends with an exact file."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

import intaglio
from host.results import write_result
from intaglio.demo.__main__ import CHECKPOINT
from intaglio.demo.digits import (
    LABELS,
    MODEL,
    PREPROCESS,
    Digits,
    as_images,
    build_network,
    load_digits,
)
from intaglio.read.named import build_model, parse_model
from intaglio.store.weights import load_weights

pytest.importorskip("sklearn", reason="the demo's digits are scikit-learn's")


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_digits()


def rows(images: Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def test_the_three_parts_share_no_image_and_are_all_of_it(digits: Digits):
    parts = [digits.train, digits.calibration, digits.held_out]

    assert [len(part.labels) for part in parts] == [1197, 100, 500]
    assert len(set.union(*(rows(part.images) for part in parts))) == 1797


def test_the_split_is_the_same_every_time(digits: Digits):
    again = load_digits()

    assert torch.equal(again.held_out.images, digits.held_out.images)
    assert torch.equal(again.held_out.labels, digits.held_out.labels)


def test_grey_0_is_black_and_grey_16_is_white():
    grey = torch.zeros(2, 8, 8)
    grey[1] = 16

    images = as_images(grey)

    assert images.shape == (2, 3, 32, 32)
    assert images[0].unique().tolist() == [-1.0]
    assert images[1].unique().tolist() == [1.0]


@pytest.mark.slow
def test_the_checkpoint_is_small_and_right_about_the_held_out_digits(digits: Digits):
    network = build_network()
    load_weights(network, CHECKPOINT)

    with torch.no_grad():
        answers = network.eval()(digits.held_out.images).argmax(1)

    assert CHECKPOINT.stat().st_size < 1_000_000
    assert 100 * (answers == digits.held_out.labels).float().mean() >= 98.0


def test_the_model_text_builds_the_network_of_the_checkpoint():
    built = build_model(parse_model(MODEL)).module

    load_weights(built, CHECKPOINT)


@pytest.fixture
def as_many_threads() -> Iterator[None]:
    """The demo is a program and sets the number of threads of its process, which is ours here."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def run_demo(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """Do what `python -m intaglio.demo` does, without the start of a process; return its code."""
    monkeypatch.setattr(sys, "argv", ["demo", *arguments])
    monkeypatch.delitem(sys.modules, "intaglio.demo.__main__")
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("intaglio.demo", run_name="__main__", alter_sys=True)
    return ended.value.code


@pytest.mark.slow
@pytest.mark.usefixtures("as_many_threads")
def test_the_demo_prints_accuracy_size_and_an_exact_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.chdir(tmp_path)

    assert run_demo(monkeypatch) == 0

    out = capsys.readouterr().out
    for expected in (
        "share no image",
        "on 500 held-out",
        "model.tflite",
        ", 0 differ",
        "report.html",
    ):
        assert expected in out
    result = intaglio.load(tmp_path / "demo-out")
    real, integer = result.report.float.figures, result.report.integer.figures
    assert integer["top1"] >= real["top1"] - 1.0
    assert result.report.check.mismatches == 0
    assert str(LABELS[3]).encode() in result.content
    assert result.report.to_dict()["preprocess"]["mean"] == list(PREPROCESS.mean)


@pytest.mark.slow
@pytest.mark.usefixtures("as_many_threads")
def test_the_demo_replaces_its_own_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_result(tmp_path / "demo-out", MODEL)
    before = (tmp_path / "demo-out" / "model.tflite").read_bytes()

    assert run_demo(monkeypatch) == 0

    assert intaglio.load("demo-out").content != before
    assert [path.name for path in tmp_path.iterdir()] == ["demo-out"]


def letters(place: Path) -> None:
    place.mkdir()
    (place / "letter.txt").write_text("dear reader")


def result_of_another_network(place: Path) -> None:
    write_result(place, "mobilenet_v2")


@pytest.mark.parametrize("what", [letters, result_of_another_network])
@pytest.mark.usefixtures("as_many_threads")
def test_a_place_that_holds_anything_else_is_refused_in_one_line(
    what: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
):
    place = tmp_path / "out"
    what(place)
    before = {path.name: path.read_bytes() for path in place.iterdir()}

    assert run_demo(monkeypatch, str(place)) == 2

    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
