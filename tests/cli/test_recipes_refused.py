"""Recipes and wishes that cannot be served: one line and exit code 2, or the best and a warning."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.tiny import CALIBRATION, CLASSIFIER, SHAPE, intaglio

RECIPES = {
    "search and steps": 'search = true\n[[steps]]\nname = "correct-bias"\n',
    "a wish without a search": "minutes = 0.5\n",
    "structure behind numbers": (
        '[[steps]]\nname = "round-second-order"\n[[steps]]\nname = "equalize"\n'
    ),
    "bits twice": '[weight_bits]\n"7" = 4\n[[steps]]\nname = "allocate-bits"\n',
}


@pytest.mark.parametrize(
    ("recipe", "named"),
    [
        ("search and steps", ("'search'", "'steps'")),
        ("a wish without a search", ("'minutes'", "'search'")),
        ("structure behind numbers", ("'equalize'", "'round-second-order'")),
        ("bits twice", ("'allocate-bits'", "'weight_bits'")),
    ],
)
def test_a_contradictory_recipe_is_one_line_that_names_both_keys(
    place: Path, capsys: pytest.CaptureFixture, recipe: str, named: tuple[str, str]
) -> None:
    Path("mine.toml").write_text(RECIPES[recipe], encoding="utf-8")

    said = refused(capsys, "--recipe", "mine.toml")

    assert all(name in said for name in named)


def test_an_unknown_step_is_one_line_that_offers_the_nearest(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    Path("mine.toml").write_text('[[steps]]\nname = "equalise"\n', encoding="utf-8")

    said = refused(capsys, "--recipe", "mine.toml")

    assert "unknown step 'equalise'" in said
    assert "did you mean equalize" in said


@pytest.mark.parametrize("scheme", ["w4a16", "w9a9", "w8a8x", "mixed"])
def test_a_scheme_that_the_target_cannot_hold_or_recipe_not_decide_is_one_line(
    place: Path, capsys: pytest.CaptureFixture, scheme: str
) -> None:
    said = refused(capsys, "--scheme", scheme, "--recipe", "plain")

    assert f"'{scheme}'" in said


def test_a_wish_without_a_search_is_one_line(place: Path, capsys: pytest.CaptureFixture) -> None:
    said = refused(capsys, "--recipe", "plain", "--minutes", 0.1)

    assert "--minutes" in said
    assert "'plain'" in said


@pytest.mark.slow
def test_a_wish_that_the_minutes_cannot_meet_keeps_the_best_with_a_warning(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    write_plain_colours(Path("loose"), 60)
    model = ("tiny_networks:unequal", *SHAPE, "--data", "loose", "--scheme", "w8a8-per-tensor")

    code = intaglio("compress", *model, "--max-drop", 0, "--minutes", 0.001, "--out", "best")

    out, err = capsys.readouterr()
    assert code == 0
    assert "the wish was not met" in (out + err).replace("\n", " ")
    report = json.loads(Path("best/report.json").read_text(encoding="utf-8"))
    assert any("give more with --minutes" in warning for warning in report["warnings"])
    assert report["attempts"][0]["kept"]
    assert intaglio("check", "best", "--data", "loose") == 0


def write_plain_colours(folder: Path, count: int) -> None:
    """Write unlabelled images of one colour each: what a random network calls them varies."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        colour = random.integers(0, 256, 3, dtype=np.uint8)
        pixels = np.broadcast_to(colour, (32, 32, 3))
        Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{number}.png")


def refused(capsys: pytest.CaptureFixture, *options: object) -> str:
    """Run a compression that is refused; return its one line."""
    code = intaglio("compress", *CLASSIFIER, *CALIBRATION, *options, "--out", "out")

    assert code == 2
    assert not Path("out").exists()
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]
