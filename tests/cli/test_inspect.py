"""Layers, totals, and the hazards that need no image to be found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cli.tiny import CLASSIFIER, SHAPE, intaglio, printed_json


def inspected(capsys: pytest.CaptureFixture, *arguments: object) -> dict[str, Any]:
    assert intaglio("inspect", *arguments, "--json") == 0
    found: dict[str, Any] = printed_json(capsys)
    return found


def test_layers_have_the_networks_names_and_costs(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    found = inspected(capsys, *CLASSIFIER)

    conv = next(layer for layer in found["layers"] if layer["name"] == "0")
    assert conv["op"] == "conv2d"
    assert conv["shape"] == [-1, 8, 16, 16]
    assert conv["macs"] == 8 * 16 * 16 * 3 * 9
    assert conv["params"] == 8 * 3 * 9
    assert found["macs"] == sum(layer["macs"] for layer in found["layers"])
    assert found["params"] == 8 * 3 * 9 + 16 + 8 * 9 + 8 + 8 * 4 + 4


def test_an_ordinary_network_has_no_hazard(place: Path, capsys: pytest.CaptureFixture) -> None:
    assert inspected(capsys, *CLASSIFIER)["hazards"] == []


@pytest.mark.slow
def test_an_unknown_op_is_named_once_by_layer(place: Path, capsys: pytest.CaptureFixture) -> None:
    hazards = inspected(capsys, "tiny_networks:with_angle", *SHAPE)["hazards"]

    assert len(hazards) == 1
    assert "layer '4'" in hazards[0]
    assert "atan2" in hazards[0]


def test_dead_and_unequal_channels_are_named(place: Path, capsys: pytest.CaptureFixture) -> None:
    hazards = inspected(capsys, "tiny_networks:unequal", *SHAPE)["hazards"]

    assert any("layer '1' has 2 of 8 channels" in hazard for hazard in hazards)
    assert any("layer '3'" in hazard and "median channel" in hazard for hazard in hazards)


def test_hard_swishes_are_counted(place: Path, capsys: pytest.CaptureFixture) -> None:
    hazards = inspected(capsys, "tiny_networks:hard_swish", *SHAPE)["hazards"]

    assert [hazard for hazard in hazards if hazard.startswith("1 hard-swish")]


def test_a_saved_result_can_be_inspected(place: Path, capsys: pytest.CaptureFixture) -> None:
    found = inspected(capsys, "result")

    assert "batch_norm" not in {layer["op"] for layer in found["layers"]}  # folded
    assert found["macs"] == inspected(capsys, *CLASSIFIER)["macs"]


def test_people_get_a_table(place: Path, capsys: pytest.CaptureFixture) -> None:
    assert intaglio("inspect", *CLASSIFIER) == 0

    out = capsys.readouterr().out
    assert "55,296" in out
    assert "Nx8x16x16" in out
    assert "348 parameters" in out


def test_a_folder_that_is_no_result_is_refused(place: Path, capsys: pytest.CaptureFixture) -> None:
    assert intaglio("inspect", "images") == 2
    assert "images is not a result" in capsys.readouterr().err
