"""Whole detectors on the command line: labels of a data set, cores, what no file can alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import intaglio as package
from cli.tiny import intaglio, printed_json
from data.box_files import write_text
from detectors.compressed import ONE, SIZE, TWO, detector
from detectors.pictures import picture
from intaglio.cli.compressed import Again

FACTORIES = {ONE: "small_ssd", TWO: "small_fasterrcnn_mobilenet"}
SHAPE = ("--input-shape", f"1,3,{SIZE[0]},{SIZE[1]}")


def model(name: str) -> str:
    return f"detectors.torchvision_style:{FACTORIES[name]}"


def write_set(folder: Path, name: str, *, count: int = 3) -> Path:
    """Write pictures, and what the float detector finds in them as COCO labels, numbered by it."""
    content: dict[str, list] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": number, "name": f"kind {number}"} for number in (3, 1, 2)],
    }
    for number in range(count):
        file = folder / f"{number}.png"
        pixels = (picture(*SIZE, seed=20 + number) * 255).round().byte().permute(1, 2, 0).numpy()
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
        image = torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255))
        with torch.no_grad():
            (found,) = detector(name)([image])
        entry = {"id": number, "file_name": file.name, "height": SIZE[0], "width": SIZE[1]}
        content["images"].append(entry)
        for box, label in zip(found["boxes"].tolist(), found["labels"].tolist(), strict=True):
            width, height = box[2] - box[0], box[3] - box[1]
            content["annotations"].append(
                {
                    "id": len(content["annotations"]),
                    "image_id": number,
                    "category_id": label,
                    "bbox": [box[0], box[1], width, height],
                    "area": width * height,
                    "iscrowd": 0,
                }
            )
    return write_text(folder / "labels.json", json.dumps(content))


@pytest.fixture(scope="module", params=[ONE, TWO])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Name of the detector, its labels, and the folder of its evaluated result."""
    place = tmp_path_factory.mktemp(request.param)
    labels = write_set(place / "set", request.param)
    out = place / "out"
    asked = ("--data", labels, "--eval", labels, "--recipe", "plain", "--out", out)
    assert intaglio("compress", model(request.param), *SHAPE, *asked) == 0
    return request.param, labels, out


def test_the_float_detector_finds_its_own_boxes_by_the_numbers_of_the_labels(made):
    _, _, out = made

    report = json.loads((out / "report.json").read_text())

    # categories stand in another order than the detector's labels: their numbers lead there
    assert report["float"]["ap"] == pytest.approx(100.0)
    assert report["float"]["n"] == report["integer"]["n"] == 3
    assert 0 < report["integer"]["ap"] < 100
    assert report["task"] == "detect"
    assert {row["name"] for row in report["detection"]["per_class"]} <= {
        "kind 1",
        "kind 2",
        "kind 3",
    }
    assert not [said for said in report["warnings"] if "nothing was evaluated" in said]


def test_the_report_is_of_every_core_and_says_where_data_came_from(made):
    name, labels, out = made

    report = json.loads((out / "report.json").read_text())

    assert len(report["cores"]) == (1 if name == ONE else 2)
    assert report["model"] == model(name)
    assert report["data"]["source"] == str(labels)
    assert report["data"]["images"] == 3
    assert sum(row["mismatches"] for row in report["cores"]) == 0


def test_it_is_loaded_in_python_with_the_module(made):
    name, _, out = made

    found = package.load(out, module=detector(name)).module()(
        [torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(0))]
    )

    assert set(found[0]) == {"boxes", "labels", "scores"}


def test_a_file_that_needs_the_users_python_is_not_evaluated_alone(made, capsys):
    _, labels, out = made

    for file in (out, out / "model.tflite"):
        assert intaglio("evaluate", file, "--eval", labels) == 2
        said = capsys.readouterr().err
        assert "whose own Python prepares its pictures" in said
        assert "intaglio compress MODEL --eval" in said


def test_inspect_shows_the_layers_of_all_cores_of_a_result_and_of_a_model(made, capsys):
    name, _, out = made

    assert intaglio("inspect", out, "--json") == 0
    saved = printed_json(capsys)
    assert intaglio("inspect", model(name), *SHAPE, "--json") == 0
    captured = printed_json(capsys)

    result = package.load(out)
    for graph in (result.graph, *(part.graph for part in result.parts.values())):
        weighted = {node.name for node in graph if "weight" in node.params}
        assert weighted <= {row["name"] for row in saved["layers"]}
    # what is saved is lowered for the target, by which some small ops become products
    assert saved["macs"] == pytest.approx(captured["macs"], rel=1e-3)


def test_labels_of_another_number_of_classes_are_refused_with_both_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    labels = write_set(tmp_path / "set", ONE, count=1)
    content = json.loads(labels.read_text())
    content["categories"].append({"id": 17, "name": "seventeen"})
    labels.write_text(json.dumps(content))
    asked = ("--data", labels, "--eval", labels, "--recipe", "plain", "--out", tmp_path / "out")

    assert intaglio("compress", model(ONE), *SHAPE, *asked) == 2

    said = capsys.readouterr().err
    assert "tells 3 classes apart and the labels have 4 categories" in said
    assert not (tmp_path / "out").exists()


def test_pictures_without_boxes_make_the_integers_but_no_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    write_set(tmp_path / "set", ONE, count=2)
    (tmp_path / "set" / "labels.json").unlink()
    asked = ("--data", tmp_path / "set", "--recipe", "plain", "--out", tmp_path / "out", "--json")

    assert intaglio("compress", model(ONE), *SHAPE, *asked) == 0

    report = printed_json(capsys)
    assert "ap" not in report["integer"]
    assert report["verdict"]["bits"] == "equal"


def test_again_is_made_anew_each_time_it_is_gone_through():
    again = Again(lambda: iter([1, 2]))

    assert list(again) == list(again) == [1, 2]


def test_check_compares_every_core(made, capsys):
    name, labels, out = made
    asked = ("--data", labels, "--preprocess", "resize=none,crop=none,fit=stretch")

    assert intaglio("check", out, *asked, "--json") == 0
    found = printed_json(capsys)
    assert intaglio("check", out, *asked) == 0
    said = capsys.readouterr().out

    assert (found["mismatches"], found["images"]) == (0, 3)
    if name == ONE:
        assert "cores" not in found
        assert "Core" not in said
        return
    first, second = found["cores"]
    assert (first["name"], second["name"]) == ("backbone", "roi_heads.box_head")
    assert second["values_compared"] > 0
    assert found["values_compared"] == first["values_compared"] + second["values_compared"]
    assert "Core 'roi_heads.box_head': 0 in " in said
