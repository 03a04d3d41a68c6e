"""--keep-float on the command line: given several times, reported, checked again, refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.tiny import CALIBRATION, CLASSIFIER, intaglio, printed_json

KEPT = ("--keep-float", "3", "--keep-float", "7", "--recipe", "plain")


def test_layers_are_kept_and_the_result_is_checked_once_more(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    assert intaglio("compress", *CLASSIFIER, *CALIBRATION, *KEPT, "--out", "kept") == 0
    capsys.readouterr()

    assert intaglio("check", "kept", *CALIBRATION, "--json") == 0

    found = printed_json(capsys)
    assert found["mismatches"] == 0
    assert found["border_values"] == 12 * 8 * 16 * 16  # the depthwise layer's; the last has none
    assert found["border_equal"] >= 0.99 * found["border_values"]
    assert found["refused"] == ["3: asked for (keep_float)", "7: asked for (keep_float)"]
    report = json.loads(Path("kept/report.json").read_text(encoding="utf-8"))
    assert [entry["name"] for entry in report["kept_float"]] == ["3", "7"]
    assert report["check"]["border_values"] > 0


@pytest.mark.slow
def test_the_recipe_that_was_written_keeps_them_too(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    assert intaglio("compress", *CLASSIFIER, *CALIBRATION, *KEPT, "--out", "kept") == 0
    recipe = ("--recipe", "kept/recipe.toml")

    assert intaglio("compress", *CLASSIFIER, *CALIBRATION, *recipe, "--out", "again") == 0

    assert Path("again/model.tflite").read_bytes() == Path("kept/model.tflite").read_bytes()


def test_what_was_taken_from_the_runtime_is_said_in_words(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    assert intaglio("compress", *CLASSIFIER, *CALIBRATION, *KEPT, "--out", "kept") == 0
    assert "Kept in float: 3: asked for" in capsys.readouterr().out

    assert intaglio("check", "kept", *CALIBRATION) == 0

    assert "behind layers in float" in capsys.readouterr().out


def test_without_layers_in_float_nothing_is_said_of_them(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    assert intaglio("check", "result", *CALIBRATION, "--json") == 0

    assert "border" not in capsys.readouterr().out
    assert "border" not in Path("result/report.json").read_text(encoding="utf-8")
    assert "keep_float" not in Path("result/recipe.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (("--keep-float", "33"), "unknown layer '33': did you mean 3"),
        (("--keep-float", "0", "--keep-float", "3", "--keep-float", "7"), "all 3 layers"),
    ],
)
def test_what_cannot_be_kept_is_one_line_and_leaves_nothing(
    place: Path, capsys: pytest.CaptureFixture, kept: tuple[str, ...], words: str
) -> None:
    assert intaglio("compress", *CLASSIFIER, *CALIBRATION, *kept, "--out", "kept") == 2

    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1
    assert not Path("kept").exists()
