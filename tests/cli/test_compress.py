"""The main job on the command line: what it writes, and whose word counts."""

from __future__ import annotations

import json
import tomllib
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

import intaglio as package
from cli.tiny import CALIBRATION, CLASSIFIER, SHAPE, intaglio, printed_json, write_images
from intaglio.cli.images import Images
from intaglio.cli.request import default_place
from intaglio.data.images import open_dataset
from intaglio.data.preprocess import Preprocess, parse_preprocess, preprocess_text
from intaglio.errors import DataError
from intaglio.host.files import RESULT_FILES
from intaglio.tasks import CLASSIFY, VALUES

OF_OTHERS = {
    "train.json",
    "weights.safetensors",
    "state.safetensors",
    "surgery.json",
    "network.pt2",
    "synthetic.safetensors",
}
"""Files that training, surgery and runs without images alone leave."""
OF_DETECTORS = {
    name for name in RESULT_FILES if name.startswith(("core", "postprocess", "detect", "boxes"))
}
FILES = set(RESULT_FILES) - OF_OTHERS - OF_DETECTORS
"""Of a network that was not trained."""


def compressed(out: str, *more: object) -> bytes:
    assert intaglio("compress", *CLASSIFIER, *CALIBRATION, "--out", out, *more) == 0
    return Path(out, "model.tflite").read_bytes()


def test_compress_writes_the_whole_result_and_it_loads(place: Path) -> None:
    assert {file.name for file in (place / "result").iterdir()} == FILES
    assert package.load(place / "result").report.check.mismatches == 0


def test_json_is_the_report_and_nothing_else(place: Path, capsys: pytest.CaptureFixture) -> None:
    compressed("out", "--json", "--eval", "images")

    out, err = capsys.readouterr()
    report = json.loads(out)

    assert report == json.loads((place / "out" / "report.json").read_text())
    assert report["float"]["n"] == report["integer"]["n"] == 12
    assert report["check"]["mismatches"] == 0
    assert report["steps"][0]["name"] == "capture"
    assert err == ""


def test_json_stays_pure_when_the_networks_module_prints(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    code = intaglio(
        "compress", "tiny_networks:talkative", *SHAPE, *CALIBRATION, "--out", "out", "--json"
    )

    assert code == 0
    assert printed_json(capsys)["model"] == "tiny_networks:talkative"


def test_people_are_told_where_the_files_lie(place: Path, capsys: pytest.CaptureFixture) -> None:
    compressed("out")

    out = capsys.readouterr().out

    assert out.index("The file: out/model.tflite\n") < out.index("The report: out/report.html\n")
    assert out.index("The report: out/report.html\n") < out.index("0 mismatches")


@pytest.mark.parametrize("data", ["images", "images/c0"])
def test_a_network_that_is_no_classifier_is_evaluated_on_images_alone(
    place: Path, capsys: pytest.CaptureFixture, data: str
) -> None:
    model = ("tiny_networks:image_to_image", *SHAPE, *CALIBRATION, "--recipe", "plain")

    assert intaglio("compress", *model, "--eval", data, "--out", "out", "--json") == 0

    report = printed_json(capsys)
    (lowest,) = report["integer"]["sqnr_db"]
    assert lowest > 0
    assert report["integer"]["n"] == {"images": 12, "images/c0": 3}[data]
    assert report["task"] == "values"


def test_the_task_that_is_named_goes_before_what_the_outputs_look_like(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    compressed("out", "--task", "values", "--eval", "images", "--min-sqnr", "3", "--json")

    report = printed_json(capsys)
    assert report["task"] == "values"
    assert "top1" not in report["integer"]
    assert report["verdict"]["accuracy"] != "not measured"
    again = tomllib.loads((place / "out/recipe.toml").read_text(encoding="utf-8"))
    assert (again["task"], again["min_sqnr"]) == ("values", 3.0)


def test_labels_that_the_task_does_not_need_are_left_out_and_others_required(place: Path) -> None:
    outputs = [(-1, 4)]

    def of(data: str) -> Images:
        return Images(open_dataset(data), Preprocess(), (1, 3, 32, 32))

    assert all(isinstance(batch, torch.Tensor) for batch in of("images").for_task(VALUES, outputs))
    assert all(len(batch) == 2 for batch in of("images").for_task(CLASSIFY, outputs))
    with pytest.raises(DataError, match="images/c0: there are no labels; put the images into"):
        of("images/c0").for_task(CLASSIFY, outputs)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(place: Path) -> None:
    first, again = compressed("a", "--seed", 3), compressed("b", "--seed", 3)

    assert first == again
    assert first != compressed("c", "--seed", 4)  # other random weights


@pytest.mark.slow
def test_the_recipe_that_was_written_repeats_the_file(place: Path) -> None:
    settings = ("--seed", 5, "--limit", 7, "--io", "int8", "--calibrator", "moving-average")
    first = compressed("a", *settings, "--scheme", "w8a8-per-tensor")

    assert compressed("b", "--recipe", "a/recipe.toml") == first


def test_an_option_counts_more_than_the_recipe(place: Path, capsys: pytest.CaptureFixture) -> None:
    Path("mine.toml").write_text('scheme = "w8a8-per-tensor"\nseed = 9\nlimit = 5\nio = "int8"\n')

    compressed("out", "--recipe", "mine.toml", "--limit", 4, "--json")

    report = printed_json(capsys)
    assert report["scheme"] == "w8a8 per-tensor"
    assert report["data"]["images"] == 4
    assert report["data"]["seed"] == 9
    assert package.load("out").io == "int8"


def test_the_written_recipe_says_what_ran(place: Path) -> None:
    compressed("out", "--preprocess", "mean=0.5,std=0.25")

    ran = tomllib.loads(Path("out/recipe.toml").read_text())["ran"]

    assert ran["model"] == "tiny_networks:classifier"
    assert ran["input_shape"] == "1,3,32,32"
    assert ran["preprocess"] == "resize=none,crop=none,mean=0.5,std=0.25"


def test_preprocess_text_parses_back() -> None:
    mean = (0.1, 0.2, 1 / 3)
    for given in (Preprocess(), Preprocess(256, 224, mean, (0.5,))):
        assert parse_preprocess(preprocess_text(given), Preprocess(8, 8, (1.0,))) == given


def test_out_defaults_to_model_and_scheme_in_safe_letters(place: Path) -> None:
    assert intaglio("compress", *CLASSIFIER, *CALIBRATION) == 0

    assert (place / "tiny_networks_classifier-w8a8" / "report.json").is_file()
    assert default_place("mobilenet_v1_tf(width=0.25)", "w8a8") == "mobilenet_v1_tf_width_0.25-w8a8"
    assert default_place("../x/net.pt2", "w8a8") == "net-w8a8"
    assert default_place("///", "w8a8") == "model-w8a8"


def test_an_older_result_is_named_before_the_work_and_replaced_where_asked_for(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    before = Path("result/model.tflite").read_bytes()
    request = ("compress", *CLASSIFIER, *CALIBRATION, "--out", "result")

    assert intaglio(*request) == 2
    told = capsys.readouterr()
    assert "holds a result of intaglio (tiny_networks:classifier, w8a8 per-channel, 20" in told.err
    assert "--replace" in told.err
    assert "capture" not in told.out + told.err  # refused before the work
    assert Path("result/model.tflite").read_bytes() == before

    assert intaglio(*request, "--replace", "--seed", 8, "--json") == 0
    told = capsys.readouterr()
    assert "result will be replaced at the end: tiny_networks:classifier, w8a8" in told.err
    json.loads(told.out)
    assert Path("result/model.tflite").read_bytes() != before
    assert {file.name for file in (place / "result").iterdir()} == FILES
    assert not [name for name in place.iterdir() if name.name.startswith(".")]


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("images/c0", "lies within --data"),
        ("images/out", "lies within --data"),
        ("images", "holds what --data names"),
        (".", "is the working directory"),
        ("..", "is a parent of the working directory"),
        ("tiny_networks.py", "is a file"),
        ("own", "holds what --weights names"),
    ],
)
def test_nothing_of_the_users_is_taken_for_an_output_place(
    place: Path, capsys: pytest.CaptureFixture, out: str, said: str
) -> None:
    Path("own").mkdir()
    torch.save({}, "own/weights.pt")
    before = sorted(Path().rglob("*"))

    code = intaglio(
        "compress", *CLASSIFIER, *CALIBRATION, "--weights", "own/weights.pt", "--out", out,
        "--replace",
    )  # fmt: skip

    assert code == 2
    assert said in capsys.readouterr().err
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("file", ["net.pt2", "net.tiny"])
def test_a_models_file_is_kept_apart_from_the_result(
    place: Path, capsys: pytest.CaptureFixture, file: str
) -> None:
    Path("nets").mkdir()
    Path("nets", file).write_text("a network")

    assert intaglio("compress", f"nets/{file}", *CALIBRATION, "--out", "nets", "--replace") == 2

    assert f"holds what MODEL names (nets/{file})" in capsys.readouterr().err


@pytest.mark.slow
def test_weights_are_loaded(place: Path, capsys: pytest.CaptureFixture) -> None:
    import tiny_networks  # written by the fixture

    torch.manual_seed(77)
    torch.save(tiny_networks.classifier().state_dict(), "weights.pt")

    with_weights = compressed("a", "--weights", "weights.pt", "--seed", 1, "--recipe", "plain")

    assert with_weights == compressed(
        "b", "--weights", "weights.pt", "--seed", 2, "--recipe", "plain"
    )
    assert with_weights != compressed("c", "--seed", 1, "--recipe", "plain")


@pytest.mark.slow
def test_random_weights_of_a_zoo_network_are_told(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    code = intaglio("compress", "resnet20_cifar10", *CALIBRATION, "--limit", 2, "--json")

    assert code == 0
    report = printed_json(capsys)
    assert any("random weights" in warning for warning in report["warnings"])
    assert report["preprocess"]["mean"] == [0.485, 0.456, 0.406]


def test_skipped_images_are_counted(place: Path, capsys: pytest.CaptureFixture) -> None:
    Path("images/c1/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    write_images(place / "held_out", seed=1)
    Path("held_out/c0/broken.jpg").write_bytes(b"nothing of an image")

    compressed("out", "--skip-bad-images", "--eval", "held_out", "--json")

    report = printed_json(capsys)
    assert report["data"]["skipped"] == 1
    assert report["data"]["images"] == 12
    assert report["integer"]["n"] == 12
    assert sum("unreadable" in warning for warning in report["warnings"]) == 2


def test_the_reference_kernels_are_a_target(place: Path, capsys: pytest.CaptureFixture) -> None:
    compressed("out", "--target", "litert-reference", "--limit", 2, "--json")

    report = printed_json(capsys)
    assert report["target"] == "litert-reference"
    assert report["check"]["mismatches"] == 0


@pytest.mark.parametrize("batch", [1, None])
def test_a_saved_program_is_a_model(
    place: Path, capsys: pytest.CaptureFixture, batch: int | None
) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(900, 4)
    )
    shapes = None if batch else ({0: torch.export.Dim("batch")},)
    images = torch.zeros(batch or 2, 3, 32, 32)
    program = torch.export.export(network.eval(), (images,), dynamic_shapes=shapes)
    torch.export.save(program, "net.pt2")

    assert intaglio("compress", "net.pt2", *CALIBRATION, "--json") == 0

    report = printed_json(capsys)
    assert report["check"]["mismatches"] == 0
    assert any("fixed batch of 1" in warning for warning in report["warnings"]) == bool(batch)
    assert (place / "net-w8a8" / "model.tflite").is_file()


def test_a_program_whose_calls_have_senseless_arguments_is_refused(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    program = torch.export.export(
        nn.Sequential(nn.Conv2d(3, 4, 3, stride=2)).eval(), (torch.zeros(1, 3, 32, 32),)
    )
    torch.export.save(program, "net.pt2")
    with zipfile.ZipFile("net.pt2") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile("net.pt2", "w") as archive:
        for name, content in parts.items():
            text = json.dumps(json.loads(content)).encode() if name.endswith(".json") else content
            archive.writestr(name, text.replace(b'"as_ints": [2, 2]', b'"as_ints": [false, 2]'))

    assert intaglio("compress", "net.pt2", *CALIBRATION, "--json") == 2

    told = capsys.readouterr().err
    assert "the program 'net.pt2' is damaged: it cannot be computed (TypeError: conv2d()" in told
