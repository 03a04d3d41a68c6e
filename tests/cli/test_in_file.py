"""`--postprocess in-file`, from the command line to a file that mobile libraries read."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from cli.tiny import CALIBRATION, CLASSIFIER, intaglio, printed_json

DETECTOR = """
from job.test_ended import tiny as detector
"""


def write_boxes(folder: Path) -> None:
    """Write four pictures of 32 x 32, each with a box of `cat` or of `dog`."""
    folder.mkdir()
    images, boxes = [], []
    for number in range(4):
        Image.new("RGB", (32, 32), (60 * number, 90, 200)).save(folder / f"{number}.png")
        name = f"{number}.png"
        images.append({"id": number, "file_name": name, "width": 32, "height": 32})
        box = {"bbox": [4, 4, 10, 12], "area": 120, "iscrowd": 0}
        boxes.append({"id": number + 1, "image_id": number, "category_id": 1 + number % 2} | box)
    kinds = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    content = {"images": images, "annotations": boxes, "categories": kinds}
    (folder / "instances.json").write_text(json.dumps(content))


@pytest.fixture
def detector(place: Path) -> tuple[str, ...]:
    Path("tiny_detector.py").write_text(DETECTOR)
    write_boxes(Path("boxes"))
    return (
        "tiny_detector:detector",
        "--input-shape",
        "1,3,32,32",
        "--data",
        "boxes/instances.json",
    )


def test_a_detector_is_made_checked_and_evaluated(
    detector: tuple[str, ...], capsys: pytest.CaptureFixture
) -> None:
    asked = ("--eval", "boxes/instances.json", "--postprocess", "in-file", "--recipe", "plain")

    assert intaglio("compress", *detector, *asked, "--out", "out", "--json") == 0
    report = printed_json(capsys)
    assert (
        intaglio(
            "check",
            "out",
            "--data",
            "boxes/instances.json",
            "--preprocess",
            "resize=none",
            "--json",
        )
        == 0
    )
    checked = printed_json(capsys)
    assert (
        intaglio(
            "evaluate",
            "out",
            "--eval",
            "boxes/instances.json",
            "--preprocess",
            "resize=none",
            "--json",
        )
        == 0
    )
    evaluated = printed_json(capsys)

    assert report["check"]["mismatches"] == checked["mismatches"] == 0
    assert evaluated["ap"] == pytest.approx(report["integer"]["ap"])
    archive = zipfile.ZipFile(io.BytesIO(Path("out/model.tflite").read_bytes()))
    assert archive.read("labelmap.txt") == b"cat\ndog\n"
    assert 'postprocess = "in-file"' in Path("out/recipe.toml").read_text()


def test_a_classifier_is_refused_in_one_line(place: Path, capsys: pytest.CaptureFixture) -> None:
    asked = (*CLASSIFIER, *CALIBRATION, "--postprocess", "in-file", "--out", "out")

    assert intaglio("compress", *asked) == 2

    said = capsys.readouterr().err
    assert "--postprocess in-file: how boxes come of the network's outputs is not known" in said
    assert not Path("out").exists()
