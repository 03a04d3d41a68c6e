"""The doctor on the command line: text, JSON, remedies tried, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cli.tiny import CALIBRATION, CLASSIFIER, SHAPE, intaglio, printed_json
from data.box_files import coco, write_coco
from doctor import patients
from intaglio.doctor import CAUSES

PREPROCESS = ("--preprocess", "resize=none,mean=0.5,std=0.5")
PHOTOGRAPHS = ("--data", "photographs/sound.csv")
ILL = ("doctor.patients:with_dead_channels", *SHAPE, *PREPROCESS, "--scheme", "w8a8-per-tensor")
SOUND = ("doctor.patients:healthy", *SHAPE, *PREPROCESS)
COUNT = 24


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images; sound.csv and ill.csv label them as those networks do in float."""
    folder = tmp_path_factory.mktemp("clinic") / "photographs"
    folder.mkdir()
    levels = ((patients.photographs(COUNT, seed=50) + 1) * 127.5).round().byte()
    for number, image in enumerate(levels):
        Image.fromarray(np.asarray(image.permute(1, 2, 0))).save(folder / f"{number}.png")
    for name, network in (("sound", patients.healthy()), ("ill", patients.with_dead_channels())):
        with torch.inference_mode():
            answers = network(levels / 127.5 - 1).argmax(1).tolist()
        lines = [f"{number}.png,{answer}" for number, answer in enumerate(answers)]
        content = "\n".join(["file,class_index", *lines, ""])
        (folder / f"{name}.csv").write_text(content, encoding="utf-8")
    return folder.parent


@pytest.fixture
def clinic(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That folder, as the current one."""
    monkeypatch.chdir(photographs)
    return photographs


def test_json_has_the_promised_keys_and_nothing_else_is_printed(
    clinic: Path, capsys: pytest.CaptureFixture
) -> None:
    assert intaglio("doctor", *ILL, *PHOTOGRAPHS, "--json") == 0

    found = printed_json(capsys)
    assert list(found) == ["healthy", "findings"]
    assert found["healthy"] is False
    first = found["findings"][0]
    assert list(first) == ["cause", "layer", "evidence", "remedy"]
    assert (first["cause"], first["layer"]) == ("dead-channels", "depthwise.0")
    assert {finding["cause"] for finding in found["findings"]} <= set(CAUSES)


def test_people_are_told_cause_layer_figures_and_remedy(
    clinic: Path, capsys: pytest.CaptureFixture
) -> None:
    assert intaglio("doctor", *ILL, *PHOTOGRAPHS) == 0

    out = capsys.readouterr().out
    assert f"w8a8-per-tensor for litert, {COUNT} images looked at" in out
    assert "1. dead-channels in 'depthwise.0'" in out
    assert "dead_channels 2, channels 16" in out
    assert 'name = "fold-dead-channels"' in out
    assert "Tried" not in out


@pytest.mark.slow
def test_a_sound_network_is_healthy(clinic: Path, capsys: pytest.CaptureFixture) -> None:
    assert intaglio("doctor", *SOUND, *PHOTOGRAPHS, "--json") == 0
    assert printed_json(capsys) == {"healthy": True, "findings": []}

    assert intaglio("doctor", *SOUND, *PHOTOGRAPHS) == 0
    assert "Healthy" in capsys.readouterr().out


@pytest.mark.slow
def test_images_on_another_scale_are_told_with_the_option_that_helps(
    clinic: Path, capsys: pytest.CaptureFixture
) -> None:
    wrong = ("--preprocess", "resize=none,mean=0,std=1")

    assert intaglio("doctor", *SOUND, *wrong, *PHOTOGRAPHS, "--apply", "--json") == 0

    finding = printed_json(capsys)["findings"][0]
    assert finding["cause"] == "wrong-preprocessing"
    assert "--preprocess mean=0.5,std=0.5" in finding["remedy"]
    assert finding["points"] > 0


@pytest.mark.slow
def test_without_images_weights_are_judged_and_that_is_said(
    clinic: Path, capsys: pytest.CaptureFixture
) -> None:
    assert intaglio("doctor", *SOUND, "--data", "none") == 0
    assert "with --data DIR values are judged too" in capsys.readouterr().out

    assert intaglio("doctor", *ILL, "--json") == 0
    assert printed_json(capsys)["findings"][0]["cause"] == "dead-channels"


@pytest.mark.slow
def test_apply_gives_the_points_that_the_remedy_regains(
    clinic: Path, capsys: pytest.CaptureFixture
) -> None:
    wished = ("doctor", *ILL, *PHOTOGRAPHS, "--eval", "photographs/ill.csv", "--apply")

    assert intaglio(*wished, "--json") == 0

    assert printed_json(capsys)["findings"][0]["points"] >= 25  # float has 100 percent


def test_eval_is_not_read_where_no_remedy_is_tried(
    clinic: Path, capsys: pytest.CaptureFixture
) -> None:
    wished = ("doctor", *ILL, *PHOTOGRAPHS, "--eval", "photographs/ill.csv")

    assert intaglio(*wished) == 0

    assert "--eval was not read" in capsys.readouterr().out


@pytest.mark.slow
def test_the_same_command_prints_the_same(clinic: Path, capsys: pytest.CaptureFixture) -> None:
    wished = ("doctor", *ILL, *PHOTOGRAPHS, "--limit", "8", "--seed", "3", "--json")
    assert intaglio(*wished) == 0
    first = capsys.readouterr().out

    assert intaglio(*wished) == 0

    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*CLASSIFIER, "--apply"), "--apply tries remedies on images and there are none"),
        ((*CLASSIFIER, "--data", "none", "--apply"), "give --data DIR"),
        ((*CLASSIFIER, "--data", "nowhere"), "nowhere"),
        ((*CLASSIFIER, "--scheme", "w9a9"), "w9a9"),
        ((*CLASSIFIER, "--target", "litrt"), "litrt"),
        (("tiny_networks:clasifier", *SHAPE), "clasifier"),
        (("tiny_networks:with_nan", *SHAPE), "layer '3'"),
        (("tiny_networks:overflowing", *SHAPE, *CALIBRATION), "layer '3'"),
        (("tiny_networks:with_angle", *SHAPE), "atan2"),
        (("tiny_networks:image_to_image", *SHAPE, *CALIBRATION, "--apply"), "classifier"),
        ((*CLASSIFIER, *CALIBRATION, "--limit", "0"), "--limit"),
        ((*CLASSIFIER, *CALIBRATION, "--eval", "nowhere"), "nowhere"),
        ((*CLASSIFIER, "--aply"), "--apply"),
        ((*CLASSIFIER, "--task", "clasify"), "unknown task 'clasify'"),
        ((*CLASSIFIER, "--task", "segment"), "task 'segment'"),
        ((*CLASSIFIER, "--task", "detect"), "task 'detect'"),
        ((*CLASSIFIER, *CALIBRATION, "--task", "values", "--apply"), "leave --apply out"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(
    place: Path, capsys: pytest.CaptureFixture, arguments: tuple[str, ...], words: str
) -> None:
    assert intaglio("doctor", *arguments) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert len([line for line in captured.err.splitlines() if line[:8] != "measure:"]) == 1


def test_boxes_are_held_against_a_detector_that_is_recognised(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    network = ("detectors.yolov5_style:small_yolov5", "--input-shape", "1,3,64,64")

    assert intaglio("doctor", *network, "--eval", write_coco(tmp_path, coco())) == 2

    assert "tells 4 classes apart and the labels have 2 categories" in capsys.readouterr().err


def test_labels_are_not_looked_at_where_values_are_what_counts(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    network = ("tiny_networks:image_to_image", *SHAPE)

    assert intaglio("doctor", *network, *CALIBRATION, "--eval", "images") == 2
    assert intaglio("doctor", *network, *CALIBRATION, "--eval", "images", "--task", "values") == 0
