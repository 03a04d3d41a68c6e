"""--scheme fp16 on the command line: without images, checked and evaluated again, refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.tiny import CALIBRATION, CLASSIFIER, intaglio, printed_json
from intaglio.host.sums import write_sums

EVALUATION = ("--eval", "images")
HALF = ("compress", *CLASSIFIER, "--scheme", "fp16", "--out", "half")


@pytest.mark.parametrize("data", [(), ("--data", "none")])
def test_it_works_without_images(
    place: Path, data: tuple[str, ...], capsys: pytest.CaptureFixture
) -> None:
    assert intaglio(*HALF, *data, "--json") == 0

    report = printed_json(capsys)
    assert report["data"] == "none"
    assert report["scheme"] == "fp16"
    assert report["verdict"]["bits"] == "not promised"
    assert report["check"]["made_up"] is True
    assert {row["stored"] for row in report["halves"]} == {"float16"}


def test_the_result_is_checked_and_evaluated_once_more(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    assert intaglio(*HALF, *EVALUATION, "--json") == 0
    report = printed_json(capsys)

    assert intaglio("check", "half", *CALIBRATION, "--json") == 0
    checked = printed_json(capsys)
    assert intaglio("evaluate", "half", *EVALUATION, "--json") == 0
    evaluated = printed_json(capsys)

    assert "mismatches" not in checked
    assert checked["images"] == 12
    # float32 sums in another order: 1e-6 of the largest value is usual
    assert 0.0 <= checked["relative_deviation"] < 1e-4
    assert evaluated["top1"] == report["integer"]["top1"]
    assert intaglio("check", "half", *CALIBRATION) == 0
    assert "where no bits are promised" in capsys.readouterr().out


def test_a_file_of_another_network_fails_the_check(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    assert intaglio(*HALF) == 0
    assert intaglio(*HALF[:-1], "other", "--seed", "7") == 0
    capsys.readouterr()
    Path("half/model.tflite").write_bytes(Path("other/model.tflite").read_bytes())
    write_sums(Path("half"))  # as if it had been written so

    assert intaglio("check", "half", *CALIBRATION, "--json") == 1

    out, err = capsys.readouterr()
    assert json.loads(out)["relative_deviation"] > 0.01
    assert "not the one that compress wrote" in err


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--recipe", "auto"), "recipe 'auto' searches"),
        (("--calibrator", "mse"), "--calibrator mse"),
        (("--io", "int8"), "--io int8"),
        (("--allow-float",), "--allow-float"),
        (("--minutes", "1"), "--minutes"),
    ],
)
def test_what_has_no_meaning_is_refused_by_name(
    place: Path, asked: tuple[str, ...], said: str, capsys: pytest.CaptureFixture
) -> None:
    assert intaglio(*HALF, *asked) == 2

    assert said in capsys.readouterr().err


def test_the_doctor_and_training_refuse_it(place: Path, capsys: pytest.CaptureFixture) -> None:
    assert intaglio("doctor", *CLASSIFIER, "--scheme", "fp16") == 2
    assert "scheme 'fp16' has no integers" in capsys.readouterr().err
    assert intaglio("train", *CLASSIFIER, *CALIBRATION, "--scheme", "fp16") == 2
    assert "scheme 'fp16' has no grids" in capsys.readouterr().err


def test_a_result_can_be_inspected(place: Path, capsys: pytest.CaptureFixture) -> None:
    assert intaglio(*HALF) == 0
    capsys.readouterr()

    assert intaglio("inspect", "half", "--json") == 0

    assert printed_json(capsys)["layers"]
