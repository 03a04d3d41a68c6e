"""The accuracy of a file on its runtime."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import intaglio as package
from cli.tiny import CALIBRATION, CLASSIFIER, intaglio, printed_json, write_images
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.interpreter.network import as_network
from intaglio.runtimes.litert.interpreter.runner import InProcess


def test_evaluate_agrees_with_the_report_of_compress(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    code = intaglio(
        "compress", *CLASSIFIER, *CALIBRATION, "--eval", "images", "--out", "out", "--json"
    )
    integer = printed_json(capsys)["integer"]
    assert code == 0

    assert intaglio("evaluate", "out", "--eval", "images", "--json") == 0

    assert printed_json(capsys) == {
        "top1": integer["top1"],
        "top5": integer["top5"],
        "n": 12,
        "runtime": "ai-edge-litert 2.3.0 (XNNPACK)",
    }


def test_a_file_is_evaluated_wherever_it_lies(place: Path, capsys: pytest.CaptureFixture) -> None:
    Path("alone").mkdir()
    Path("result/model.tflite").rename("alone/net.tflite")

    assert intaglio("evaluate", "alone/net.tflite", "--eval", "images") == 0

    assert "n = 12" in capsys.readouterr().out


def test_the_file_scores_are_the_twins(place: Path) -> None:
    result = package.load("result")
    images = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    scores = as_network(InProcess(LITERT).open(result.content), "model.tflite")(images)[0]

    assert torch.equal(scores, result.twin(images))


@pytest.mark.parametrize("io", ["int8", "uint8"])
def test_integer_inputs_are_quantized_as_the_twin_does(place: Path, io: str) -> None:
    assert intaglio("compress", *CLASSIFIER, *CALIBRATION, "--io", io, "--out", "out") == 0
    result = package.load("out")
    images = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(1))

    scores = as_network(InProcess(LITERT).open(result.content), "model.tflite")(images)[0]

    assert torch.equal(scores, result.twin(images))


def test_a_file_of_bytes_has_the_figures_of_the_report(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    asked = ("--eval", "images", "--io", "uint8", "--out", "out", "--json")
    assert intaglio("compress", *CLASSIFIER, *CALIBRATION, *asked) == 0
    integer = printed_json(capsys)["integer"]
    Path("alone").mkdir()
    shutil.copy("out/model.tflite", "alone/net.tflite")

    for file in ("out", "out/model.tflite", "alone/net.tflite"):
        assert intaglio("evaluate", file, "--eval", "images", "--json") == 0

        found = printed_json(capsys)
        assert (found["top1"], found["top5"]) == (integer["top1"], integer["top5"])


def test_labels_beyond_the_classes_are_refused(place: Path, capsys: pytest.CaptureFixture) -> None:
    write_images(place / "more", classes=5)

    assert intaglio("evaluate", "result", "--eval", "more") == 2
    assert "class index 4" in capsys.readouterr().err


def test_skipped_images_are_counted(place: Path, capsys: pytest.CaptureFixture) -> None:
    Path("images/c0/broken.png").write_bytes(b"")

    assert intaglio("evaluate", "result", "--eval", "images", "--skip-bad-images", "--json") == 0

    found = printed_json(capsys)
    assert (found["n"], found["skipped"]) == (12, 1)


def test_a_foreign_file_needs_its_preprocessing(
    data_pack: Path, capsys: pytest.CaptureFixture
) -> None:
    file = data_pack / "tflite" / "mobilenet_v1_0.25_224_float.tflite"
    images = data_pack / "imagenet" / "val227.csv"

    assert intaglio("evaluate", file, "--eval", images) == 2

    assert "give --preprocess" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "top1"),
    [
        ("mobilenet_v1_0.25_224_float", 64.3),  # 1001 classes, float
        ("mobilenet_v2_1.0_224_qat_per_tensor_uint8", 78.8),  # 1001 classes, uint8
    ],
)
def test_files_of_others_reach_their_accuracy(
    data_pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture, name: str, top1: float
) -> None:
    lines = (data_pack / "imagenet" / "val227.csv").read_text().splitlines()
    folder = data_pack / "imagenet"
    rows = [line.split(",") for line in lines[1:]][::4]  # every fourth: n = 163
    manifest = tmp_path / "some.csv"
    manifest.write_text(
        "file,class_index\n" + "".join(f"{folder / row[0]},{row[1]}\n" for row in rows)
    )

    code = intaglio(
        "evaluate",
        data_pack / "tflite" / f"{name}.tflite",
        "--eval",
        manifest,
        "--preprocess",
        "crop=224,mean=0.5,std=0.5",
        "--json",
    )

    assert code == 0
    found = printed_json(capsys)
    assert found["n"] == len(rows)
    # three standard errors of a share of 0.7 on 163 images; a shift by one class would give 0
    assert found["top1"] == pytest.approx(top1, abs=11.0)


@pytest.mark.slow
def test_what_has_no_figures_alone_is_sent_to_compress(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    arguments = ("tiny_networks:image_to_image", *CLASSIFIER[1:], *CALIBRATION, "--out", "out")
    assert intaglio("compress", *arguments) == 0

    assert intaglio("evaluate", "out", "--eval", "images") == 2

    said = capsys.readouterr().err
    assert "a file alone has no figures where the task is 'values'" in said
    assert "use 'intaglio compress MODEL --eval'" in said


def test_images_without_labels_are_refused_where_the_task_needs_them(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    Path("images/c0").rename("flat")

    assert intaglio("evaluate", "result", "--eval", "flat") == 2

    assert "flat: there are no labels" in capsys.readouterr().err
