"""Every wrong request is one line that says what, where and what to do; nothing is written."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from cli.conftest import place, prepared
from cli.tiny import CALIBRATION, CLASSIFIER, SHAPE, intaglio, write_images
from forks import python

__all__ = ["place", "prepared"]


class Refusal:
    """Runs commands that must be refused in a place where nothing must change."""

    def __init__(self, place: Path, capsys: pytest.CaptureFixture) -> None:
        self.place, self.capsys = place, capsys

    def __call__(self, *arguments: object) -> str:
        """Return the one line of a command that is refused; it left every file as it was."""
        before = self.files()
        assert intaglio(*arguments) == 2
        out, err = self.capsys.readouterr()
        assert self.files() == before
        assert out == ""
        assert len(err.splitlines()) == 1
        assert err.startswith("intaglio: error: ")
        return err

    def compress(self, *more: object) -> str:
        """The same for compressing the tiny classifier."""
        return self("compress", *CLASSIFIER, *CALIBRATION, "--out", "out", *more)

    def files(self) -> dict[str, bytes]:
        skipped = "__pycache__"
        return {
            str(file): file.read_bytes() if file.is_file() else b""
            for file in sorted(self.place.rglob("*"))
            if skipped not in file.parts
        }


@pytest.fixture
def refused(place: Path, capsys: pytest.CaptureFixture) -> Refusal:
    return Refusal(place, capsys)


# models


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("mobilnet_v2", ["unknown model 'mobilnet_v2'", "mobilenet_v2"]),
        ("tiny_networks:classifer", ["classifer", "classifier"]),
        ("nowhere:factory", ["no module 'nowhere'"]),
        ("tiny_networks.classifier", ["tiny_networks:classifier"]),
        ("mobilenet_v2(wdth=0.5)", ["wdth", "width"]),
        ("mobilenet_v2(width=__import__('os'))", ["not a literal"]),
        ("missing.pt2", ["there is no program file 'missing.pt2'"]),
    ],
)
def test_an_unknown_model(refused: Refusal, model: str, words: list[str]) -> None:
    line = refused("compress", model, *SHAPE, *CALIBRATION, "--out", "out")

    assert [word for word in words if word not in line] == []


def test_a_missing_input_shape(refused: Refusal) -> None:
    line = refused("compress", "tiny_networks:classifier", *CALIBRATION, "--out", "out")

    assert "give --input-shape 1,3,H,W" in line


@pytest.mark.parametrize("shape", ["3,32,32", "1,3,32,x", "2,3,32,32", "1,5,32,32", "1,3,0,32", ""])
def test_an_impossible_input_shape(refused: Refusal, shape: str) -> None:
    model = "tiny_networks:classifier"

    refused("compress", model, "--input-shape", shape, *CALIBRATION, "--out", "out")


def test_a_program_for_another_size(refused: Refusal) -> None:
    program = torch.export.export(torch.nn.Conv2d(3, 4, 1), (torch.zeros(1, 3, 16, 16),))
    torch.export.save(program, "net.pt2")

    assert "[1, 3, 16, 16]" in refused("compress", "net.pt2", *SHAPE, *CALIBRATION)


# weights


def save_state(change: object = None) -> None:
    import tiny_networks  # written by the fixture

    state = dict(tiny_networks.classifier().state_dict())
    if callable(change):
        change(state)
    save_file({key: value.contiguous() for key, value in state.items()}, "weights.safetensors")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("3.weight"), ["1 missing key: 3.weight"]),
        (lambda state: state.update(extra=torch.ones(1)), ["1 unexpected key: extra"]),
        (lambda state: state.update({"7.bias": torch.ones(5)}), ["7.bias", "[5]", "[4]"]),
        (lambda state: state["3.weight"].fill_(float("nan")), ["layer '3'", "NaN"]),
    ],
)
def test_weights_that_do_not_fit(refused: Refusal, change: object, words: list[str]) -> None:
    save_state(change)

    line = refused.compress("--weights", "weights.safetensors")

    assert [word for word in (*words, "weights.safetensors") if word not in line] == []


def test_many_missing_weights_are_three_names_and_dots(refused: Refusal) -> None:
    save_state(dict.clear)

    assert "9 missing keys: 0.weight, 1.weight, 1.bias, ..." in refused.compress(
        "--weights", "weights.safetensors"
    )


def test_truncated_weights(refused: Refusal) -> None:
    save_state()
    content = Path("weights.safetensors").read_bytes()
    Path("weights.safetensors").write_bytes(content[:-100])

    line = refused.compress("--weights", "weights.safetensors")

    assert "'weights.safetensors' is truncated" in line


def test_a_checkpoint_that_needs_unpickling(refused: Refusal) -> None:
    torch.save(torch.nn.Linear(2, 2), "whole.pt")

    assert "intaglio never unpickles" in refused.compress("--weights", "whole.pt")


def test_missing_weights_file(refused: Refusal) -> None:
    assert "'none.safetensors'" in refused.compress("--weights", "none.safetensors")


def test_weights_of_a_program(refused: Refusal) -> None:
    assert "leave --weights out" in refused(
        "compress", "net.pt2", "--weights", "w.safetensors", *CALIBRATION
    )


# data


def test_a_truncated_image_and_going_on_without_it(
    refused: Refusal, capsys: pytest.CaptureFixture
) -> None:
    image = Path("images/c2/1.png")
    image.write_bytes(image.read_bytes()[:1500])

    line = refused.compress()

    assert "images/c2/1.png" in line
    assert "--skip-bad-images" in line
    arguments = ("compress", *CLASSIFIER, *CALIBRATION, "--out", "out", "--skip-bad-images")
    assert intaglio(*arguments) == 0
    assert "1 unreadable images were passed over" in capsys.readouterr().out


def test_no_readable_image_at_all(refused: Refusal) -> None:
    for image in Path("images").rglob("*.png"):
        image.write_bytes(b"")

    assert "none of its 12 images can be read" in refused.compress("--skip-bad-images")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('file,class_index\n"images/c0/0.png,0\n', ["line", "manifest.csv"]),
        ("file,class_index\nimages/c0/0.png\n", ["line 2", "manifest.csv"]),
        ("image,label\nimages/c0/0.png,0\n", ["'file'"]),
        ("file,class_index\nimages/none.png,0\n", ["line 2", "images/none.png"]),
        ("", ["empty"]),
    ],
)
def test_a_corrupt_manifest(refused: Refusal, content: str, words: list[str]) -> None:
    Path("manifest.csv").write_text(content)

    line = refused("compress", *CLASSIFIER, "--data", "manifest.csv", "--out", "out")

    assert [word for word in words if word not in line] == []


def test_an_empty_folder(refused: Refusal) -> None:
    Path("empty").mkdir()

    assert "empty: no image found" in refused("compress", *CLASSIFIER, "--data", "empty")


@pytest.mark.parametrize("option", ["--data", "--eval"])
def test_missing_data(refused: Refusal, option: str) -> None:
    given = {"--data": "images", option: "nowhere"}
    arguments = [word for pair in given.items() for word in pair]

    assert "nowhere: no such file" in refused("compress", *CLASSIFIER, *arguments)


def test_eval_without_labels(refused: Refusal) -> None:
    Path("flat").mkdir()
    shutil.copy("images/c0/0.png", "flat")

    assert "flat: there are no labels" in refused.compress("--eval", "flat")


def test_class_indices_out_of_range(refused: Refusal) -> None:
    write_images(refused.place / "five", classes=5)

    line = refused.compress("--eval", "five")

    assert "class index 4 of 'c4/0.png' is out of range" in line
    assert "4 outputs" in line


def test_accuracy_of_what_is_no_classifier(refused: Refusal) -> None:
    model = "tiny_networks:image_to_image"

    wish = ("--eval", "images", "--task", "classify", "--out", "out")
    line = refused("compress", model, *SHAPE, *CALIBRATION, *wish)

    assert "task 'classify': accuracy needs a classifier" in line


def test_an_image_too_small_for_the_crop(refused: Refusal) -> None:
    line = refused.compress("--preprocess", "crop=48")

    assert "32x32" in line
    assert "too small for the crop of 48" in line


@pytest.mark.parametrize("option", ["--data", "--eval"])
def test_images_of_another_size(refused: Refusal, option: str) -> None:
    write_images(refused.place / "larger", size=40)
    given = {"--data": "images", option: "larger"}
    arguments = [word for pair in given.items() for word in pair]

    line = refused("compress", *CLASSIFIER, *arguments, "--out", "out")

    assert "40x40" in line
    assert "--preprocess" in line


@pytest.mark.parametrize(
    "text", ["crop", "crop=-1", "corp=32", "mean=1/2", "std=0", "resize=8,crop=9"]
)
def test_impossible_preprocessing(refused: Refusal, text: str) -> None:
    assert "preprocess" in refused.compress("--preprocess", text)


def test_eval_without_data(refused: Refusal) -> None:
    line = refused("compress", *CLASSIFIER, "--eval", "images")

    assert "--data DIR" in line
    assert "--data none" in line


@pytest.mark.parametrize(
    "more",
    [(), ("--data", "none", "--recipe", "auto"), ("--data", "none", "--recipe", "accurate")],
)
def test_a_recipe_that_needs_images(refused: Refusal, more: tuple[str, ...]) -> None:
    line = refused("compress", *CLASSIFIER, *more)

    assert "--data DIR" in line


# names


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--target", "litter", "litert"),
        ("--scheme", "w8a9", "w8a8"),
        ("--scheme", "w4a16", "w4a8"),
        ("--recipe", "plane", "plain"),
        ("--recipe", "none.toml", "none.toml"),
        ("--calibrator", "minmx", "minmax"),
        ("--io", "int16", "int8"),
        ("--device", "gpu", "cpu"),
        ("--device", "meta", "cpu"),
    ],
)
def test_unknown_names(refused: Refusal, option: str, value: str, word: str) -> None:
    line = refused.compress(option, value)

    assert value in line
    assert word in line


@pytest.mark.parametrize(
    "text",
    ["calibrator = 'minmx'", "keep_float = ['a']", "seed = 'x'", "seed = -1", "limit = 0", "= 1"],
)
def test_a_wrong_recipe_file(refused: Refusal, text: str) -> None:
    Path("mine.toml").write_text(text)

    refused.compress("--recipe", "mine.toml")


# networks


def test_nan_in_weights_names_the_layer(refused: Refusal) -> None:
    line = refused("compress", "tiny_networks:with_nan", *SHAPE, *CALIBRATION, "--out", "out")

    assert "layer '3'" in line
    assert "NaN" in line


def test_infinity_in_activations_names_the_layer(refused: Refusal) -> None:
    line = refused("compress", "tiny_networks:overflowing", *SHAPE, *CALIBRATION, "--out", "out")

    assert "layer '3'" in line
    assert "infinity" in line


def test_an_op_that_the_target_cannot_hold(refused: Refusal) -> None:
    line = refused("compress", "tiny_networks:with_angle", *SHAPE, *CALIBRATION, "--out", "out")

    assert "layer '4'" in line
    assert "atan2" in line
    assert "Replace it" in line


# the output place


def test_files_of_others_in_the_place(refused: Refusal) -> None:
    Path("papers").mkdir()
    Path("papers/thesis.tex").write_text("years of work")

    line = refused("compress", *CLASSIFIER, *CALIBRATION, "--out", "papers", "--replace")

    assert "not a result of intaglio" in line


@pytest.mark.parametrize("out", ["tiny_networks.py", "tiny_networks.py/out", "/proc/out"])
def test_a_place_that_cannot_be_written(refused: Refusal, out: str) -> None:
    assert refused("compress", *CLASSIFIER, *CALIBRATION, "--out", out)


def test_the_place_is_tried_before_any_work(refused: Refusal) -> None:
    line = refused("compress", "mobilnet", *CALIBRATION, "--out", "tiny_networks.py/out")

    assert "tiny_networks.py/out" in line


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the permission to mount a small file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("below", ["out", "."])
def test_a_full_disk(refused: Refusal, small_disk: Path, below: str) -> None:
    line = refused("compress", *CLASSIFIER, *CALIBRATION, "--out", small_disk / below)

    assert "the disk is full" in line
    assert list(small_disk.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_file_that_grows_beyond_the_limit_of_the_process(place: Path) -> None:
    program = (
        "import resource, sys; sys.dont_write_bytecode = True;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000));"
        "from intaglio.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ("compress", *CLASSIFIER, *CALIBRATION, "--out", "out")

    done = python(program, *arguments)

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "out cannot be written" in done.stderr
    assert not [path for path in place.iterdir() if "out" in path.name]


# files of intaglio


@pytest.mark.parametrize("command", ["evaluate", "check"])
def test_what_is_no_result(refused: Refusal, command: str) -> None:
    option = {"evaluate": "--eval", "check": "--data"}[command]
    Path("text.tflite").write_text("no flatbuffer")

    for file in ("nothing", "nothing.tflite", "images", "tiny_networks.py", "text.tflite"):
        more = ("--preprocess", "mean=0") if command == "evaluate" else ()
        assert file.partition(".")[0] in refused(command, file, option, "images", *more)


def test_grayscale_images_feed_a_network_of_colours(place: Path) -> None:
    random = np.random.default_rng(0)
    Path("grey").mkdir()
    for number in range(3):
        pixels = random.integers(0, 256, (32, 32), dtype=np.uint8)
        Image.fromarray(pixels).save(f"grey/{number}.png")

    assert intaglio("compress", *CLASSIFIER, "--data", "grey", "--out", "out") == 0
