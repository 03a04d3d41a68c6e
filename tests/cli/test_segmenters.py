"""Segmenters through the commands: masks in, figures of maps out."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cli.tiny import intaglio, printed_json
from segmenters.scenes import CLASSES, NAMES, write_description, write_scenes

SHAPE = ("--input-shape", "1,3,32,32")
PLAIN = ("--recipe", "plain")
FIGURES = ("miou", "pixel_accuracy", "boundary_f")
POLY = """
name = "poly"

[train]
epochs = 8
batch = 4
lr = 0.1
schedule = "poly"
hard = 0.25
zoom = 1.3
"""


def made(name: str) -> tuple[str, ...]:
    """Return the arguments that name a network of `segmenters.painters`."""
    return (f"segmenters.painters:{name}", *SHAPE)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `learned` and `judged`, each pictures with masks, and `red` of two classes."""
    folder = tmp_path_factory.mktemp("drawn")
    write_scenes(folder / "learned", 12, seed=0)
    write_scenes(folder / "judged", 6, seed=50)
    write_scenes(folder / "red", 6, seed=70, most=2, names=False)
    (folder / "poly.toml").write_text(POLY)
    return folder


@pytest.fixture(scope="module")
def result(drawn: Path) -> Path:
    """A compressed segmenter."""
    asked = (*made("nearest"), "--data", drawn / "learned/images", "--eval", drawn / "judged")
    assert intaglio("compress", *asked, *PLAIN, "--out", drawn / "result") == 0
    return drawn / "result"


@pytest.fixture(autouse=True)
def here(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(drawn)


def report_of(folder: Path | str) -> dict[str, Any]:
    return json.loads(Path(folder, "report.json").read_text())


def compress(name: str, out: Path, *asked: object) -> dict[str, Any]:
    assert intaglio("compress", *made(name), *asked, "--out", out) == 0
    return report_of(out)


def evaluated(capsys: pytest.CaptureFixture, *asked: object) -> dict[str, Any]:
    capsys.readouterr()
    assert intaglio("evaluate", *asked, "--json") == 0
    return printed_json(capsys)


def test_the_report_has_the_figures_of_maps_class_by_class(result: Path) -> None:
    report = report_of(result)

    assert report["task"] == "segment"
    for side in ("float", "integer"):
        assert all(80 < report[side][name] < 100 for name in FIGURES)
    assert report["integer"]["agreement"] > 99
    assert {row["name"] for row in report["segmentation"]["per_class"]} == set(NAMES)
    assert report["segmentation"]["matched_percent"] > 99
    assert report["check"]["mismatches"] == 0


def test_evaluate_gives_the_figures_of_the_report(
    result: Path, capsys: pytest.CaptureFixture
) -> None:
    expected = report_of(result)["integer"]

    for given in (result, result / "model.tflite"):
        found = evaluated(capsys, given, "--eval", "judged", "--preprocess", "resize=none")
        assert {name: found[name] for name in FIGURES} == {n: expected[n] for n in FIGURES}
        assert found["n"] == 6


def test_check_looks_at_pictures_with_masks(result: Path, capsys: pytest.CaptureFixture) -> None:
    capsys.readouterr()
    assert intaglio("check", result, "--data", "judged", "--json") == 0

    found = printed_json(capsys)
    assert found["mismatches"] == 0
    assert found["images"] == 6


@pytest.mark.parametrize("name", ["named", "indices"])
def test_a_file_that_ends_in_an_argmax_is_made_checked_and_evaluated_with_and_without_its_folder(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    asked = ("--data", "learned/images", "--eval", "judged", *PLAIN, "--postprocess", "in-file")
    report = compress(name, out, *asked)
    alone = tmp_path / "alone.tflite"
    alone.write_bytes((out / "model.tflite").read_bytes())

    assert report["check"]["mismatches"] == 0
    for given in (out, alone):
        found = evaluated(capsys, given, "--eval", "judged", "--preprocess", "resize=none")
        assert all(found[figure] == report["integer"][figure] for figure in FIGURES)


def test_a_file_alone_whose_one_channel_may_be_anything_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    compress("red", tmp_path / "out", "--data", "red/images", "--eval", "red", *PLAIN)
    alone = tmp_path / "alone.tflite"
    alone.write_bytes((tmp_path / "out/model.tflite").read_bytes())

    assert intaglio("evaluate", alone, "--eval", "red", "--preprocess", "resize=none") == 2
    assert "one channel" in capsys.readouterr().err


def test_a_sigmoid_is_a_binary_segmenters_and_its_masks_may_hold_0_and_255(
    tmp_path: Path,
) -> None:
    whole = write_scenes(tmp_path / "of_255", 6, seed=70, most=2, names=False)
    for path in (whole / "masks").iterdir():
        Image.open(path).point(lambda value: 255 * value).save(path)
    described = write_description(whole, values=[0, 255], classes=["ground", "red"])

    plain = compress("red", tmp_path / "one", "--data", "red/images", "--eval", "red", *PLAIN)
    asked = ("--data", "red/images", "--eval", described, *PLAIN, "--task", "segment")
    told = compress("red", tmp_path / "two", *asked)

    assert plain["task"] == told["task"] == "segment"
    assert plain["integer"]["miou"] > 95
    assert plain["integer"]["miou"] == told["integer"]["miou"]
    post = json.loads((tmp_path / "one/postprocess.json").read_text())
    assert (post["rule"], post["scores"]) == ("threshold", "probabilities")


def test_a_logit_is_refused_in_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    asked = (*made("red_logits"), "--data", "red/images", "--eval", "red", "--out", tmp_path / "o")

    assert intaglio("compress", *asked) == 2

    said = capsys.readouterr().err
    assert "one channel" in said
    assert "MapPostProcess" in said
    assert not (tmp_path / "o").exists()


def test_without_images_maps_are_still_judged(tmp_path: Path) -> None:
    report = compress("nearest", tmp_path / "out", "--data", "none", "--eval", "judged")

    assert report["task"] == "segment"
    assert report["integer"]["miou"] == pytest.approx(report["float"]["miou"], abs=3)


def test_a_search_on_a_folder_without_masks_goes_by_the_pixels_that_agree(tmp_path: Path) -> None:
    report = compress("named", tmp_path / "out", "--data", "learned/images")

    (attempt,) = report["attempts"]
    assert attempt["kept"]
    assert 98 < attempt["agreement"] <= 100


@pytest.mark.parametrize("asked", [(), ("--apply",), ("--apply", "--eval", "judged")])
def test_the_doctor_takes_masks(asked: tuple[str, ...], capsys: pytest.CaptureFixture) -> None:
    assert intaglio("doctor", *made("damaged"), "--data", "learned", *asked) == 0

    said = capsys.readouterr().out
    assert ("Tried:" in said) == bool(asked)


def test_the_doctor_is_told_by_task_that_a_network_without_masks_is_a_segmenter(
    capsys: pytest.CaptureFixture,
) -> None:
    asked = ("doctor", *made("damaged"), "--data", "learned/images", "--apply")

    assert intaglio(*asked) == 2
    assert "classifier" in capsys.readouterr().err
    assert intaglio(*asked, "--task", "segment") == 0
    assert "Tried:" in capsys.readouterr().out


@pytest.mark.parametrize("judged", [(), ("--eval", "coco/instances.json")])
def test_names_in_the_file_are_those_of_masks_with_the_background_first(
    judged: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_coco(tmp_path / "coco")
    monkeypatch.chdir(tmp_path)
    asked = ("--data", "coco/instances.json", *judged, "--preprocess", "fit=stretch", *PLAIN)

    compress("three", tmp_path / "out", *asked, "--task", "segment")

    files = zipfile.ZipFile(tmp_path / "out/model.tflite")  # its metadata, after the file itself
    (labels,) = (files.read(name).decode() for name in files.namelist())
    assert labels.split() == ["background", "cat", "person"]


@pytest.mark.parametrize("scheme", ["float", "w8a8"])
def test_training_from_masks_makes_maps_right(
    scheme: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    asked = ("--data", "learned", "--eval", "judged", "--recipe", "poly.toml", "--scheme", scheme)

    assert intaglio("train", *made("untrained"), *asked, "--out", tmp_path / "out") == 0

    record = json.loads((tmp_path / "out/train.json").read_text())
    assert record["final"]["miou"] > record["start"]["miou"] + 10
    assert record["options"]["schedule"] == "poly"
    if scheme == "w8a8":
        found = evaluated(capsys, tmp_path / "out", "--eval", "judged")
        assert found["miou"] == report_of(tmp_path / "out")["integer"]["miou"]


def test_a_coco_file_becomes_masks_for_a_segmenter_of_the_zoo(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    labels = write_coco(tmp_path / "coco")
    asked = ("selfie_segmentation", "--input-shape", "1,3,64,64", "--data", "none")

    assert intaglio("compress", *asked, "--eval", labels, *PLAIN, "--out", tmp_path / "out") == 0

    report = report_of(tmp_path / "out")
    assert report["task"] == "segment"
    pixels = {row["name"]: row["pixels"] for row in report["segmentation"]["per_class"]}
    # a person's rectangle of 36 x 26 in two of four pictures; a cat is no class of the network
    assert pixels["person"] == 2 * 36 * 26
    assert sum(pixels.values()) == 4 * 64 * 48


def write_coco(folder: Path) -> Path:
    """Write four pictures of 64 x 48, each with the outline of a person or of a cat."""
    folder.mkdir()
    images, objects = [], []
    for number in range(4):
        Image.new("RGB", (64, 48), (60 * number, 90, 200)).save(folder / f"{number}.png")
        image = {"id": number, "file_name": f"{number}.png", "width": 64, "height": 48}
        outline = {"segmentation": [[4, 4, 40, 4, 40, 30, 4, 30]], "bbox": [4, 4, 36, 26]}
        known = {"id": number + 1, "image_id": number, "category_id": 1 + number % 2}
        images.append(image)
        objects.append(known | outline | {"area": 936, "iscrowd": 0})
    kinds = [{"id": 1, "name": "cat"}, {"id": 2, "name": "person"}]
    path = folder / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": objects, "categories": kinds}))
    return path


def test_masks_of_more_classes_than_the_network_tells_apart_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    asked = (*made("nearest"), "--data", "none", "--eval")
    named = write_description(
        write_scenes(tmp_path / "more", 2, names=False), classes=[*NAMES, "more"]
    )

    assert intaglio("compress", *asked, named, "--out", tmp_path / "out") == 2
    assert f"tells {CLASSES} classes apart" in capsys.readouterr().err


def test_a_field_is_told_beside_the_maps_as_they_come_and_changes_no_file(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "refined"
    asked = ("--data", "learned/images", "--eval", "judged", *PLAIN)
    report, plain = compress("nearest", out, *asked, "--crf"), report_of(result)

    assert (out / "model.tflite").read_bytes() == (result / "model.tflite").read_bytes()
    for side in ("float", "integer"):
        assert {name: report[side][name] for name in FIGURES} == {
            name: plain[side][name] for name in FIGURES
        }
        assert {f"{name}_crf" for name in FIGURES} <= set(report[side])
    assert "Integer, CRF" in (out / "report.html").read_text()
    found = evaluated(capsys, out, "--eval", "judged", "--preprocess", "resize=none", "--crf")
    assert found["miou_crf"] == report["integer"]["miou_crf"]


def test_a_field_without_masks_to_judge_by_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    asked = (*made("nearest"), "--data", "learned/images", *PLAIN, "--crf")

    assert intaglio("compress", *asked, "--out", tmp_path / "out") == 2
    assert "give --eval" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
