"""`intaglio train`: what it writes, whose word counts, what is refused, what a kill leaves."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import intaglio as package
from cli.tiny import CLASSIFIER, SHAPE, intaglio, printed_json, write_images
from forks import python
from intaglio.data.image_samples import ImageSamples
from intaglio.host.files import RESULT_FILES
from intaglio.job.operated import PROGRAM, SURGERY_MARK
from intaglio.read.named.build import build_model
from intaglio.read.named.request import parse_model

OF_DETECTORS = {
    name for name in RESULT_FILES if name.startswith(("core", "postprocess", "detect", "boxes"))
}
OF_OTHERS = {SURGERY_MARK, PROGRAM, "synthetic.safetensors"}
"""Files that surgery and runs without images alone leave."""
TRAINED = (*CLASSIFIER, "--data", "images", "--epochs", 2, "--batch", 4)
DRIVER = """
import os, signal, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from intaglio.cli.main import main
from intaglio.errors import RequestError
from intaglio.methods.learn.checkpoint import load

def step_kept(place):
    try:
        return load(place).facts.step
    except RequestError:  # none yet, or exchanged for the next one while it was read
        return -1

arguments = sys.argv[1:]
assert main([*arguments, "--out", "whole", "--json"]) == 0
for number in range(2):
    child = os.fork()
    if not child:
        sys.stdout = open(os.devnull, "w")
        os._exit(main([*arguments, "--out", "killed", "--resume"]))
    kept, until = Path(".killed.intaglio-training"), time.monotonic() + 100
    while step_kept(kept) < 5 * (1 + number):
        assert time.monotonic() < until
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    facts = load(kept).facts
    print("kept", 0 < facts.step < facts.total, file=sys.stderr)
assert not os.path.exists("killed")
sys.exit(main([*arguments, "--out", "killed", "--resume"]))
"""


def trained(out: str, *more: object) -> Path:
    assert intaglio("train", *TRAINED, "--out", out, *more) == 0
    return Path(out)


def refused(capsys: pytest.CaptureFixture, *arguments: object, code: int = 2) -> str:
    """Return the one line with which a command is refused."""
    capsys.readouterr()
    assert intaglio("train", *arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("intaglio: error: ")
    return str(err)


def record(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "train.json").read_text("utf-8"))
    return found


def test_training_in_integers_leaves_all_that_compress_leaves_and_more(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    out = trained("out", "--eval", "images", "--json")

    said = printed_json(capsys)
    assert {file.name for file in out.iterdir()} == set(RESULT_FILES) - OF_OTHERS - OF_DETECTORS
    assert said == record(out)
    assert (said["scheme"], said["method"], said["steps"]) == ("w8a8", "lsq", 4)
    result = package.load(out)
    assert result.report.check.mismatches == 0
    assert said["final"] == {**result.report.integer.figures, "n": 12}
    assert said["start"]["n"] == 12
    assert [path for path in place.iterdir() if path.name.startswith(".")] == []


def test_the_weights_are_those_of_the_users_module(place: Path) -> None:
    out = trained("out")

    module = build_model(parse_model("tiny_networks:classifier"), 0).module
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    module.load_state_dict(load_file(out / "weights.safetensors"))

    after = module.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} >= {
        "0.weight",
        "3.weight",
        "7.bias",
    }
    arguments = (*CLASSIFIER, "--data", "images", "--weights", out / "weights.safetensors")
    assert intaglio("compress", *arguments, "--recipe", "plain", "--out", "again") == 0


def test_training_in_float_leaves_weights_and_is_known_as_a_result(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    out = trained("out", "--scheme", "float", "--eval", "images")

    assert {file.name for file in out.iterdir()} == {
        "weights.safetensors", "state.safetensors", "train.json", "recipe.toml", "SHA256SUMS"
    }  # fmt: skip
    assert "Top-1: " in capsys.readouterr().out
    assert "method" not in record(out)
    assert "float" in refused(capsys, *TRAINED, "--scheme", "float", "--out", "out")
    trained("out", "--scheme", "float", "--replace")
    capsys.readouterr()
    assert intaglio("evaluate", "out", "--eval", "images") == 2
    assert "a training in float: there is no integer network in it" in capsys.readouterr().err


def test_a_foreign_folder_with_a_train_json_is_not_ours(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    Path("mine").mkdir()
    Path("mine/train.json").write_text('{"epochs": 3}')

    said = refused(capsys, *TRAINED, "--out", "mine", "--replace")

    assert "not a result of intaglio" in said
    assert Path("mine/train.json").read_text() == '{"epochs": 3}'


@pytest.mark.parametrize("scheme", ["w8a8", "float"])
def test_the_recipe_that_was_written_repeats_the_training(place: Path, scheme: str) -> None:
    options = ("--scheme", scheme, "--lr", 0.03, "--distill", 0.5, "--seed", 3, "--limit", 10)
    first = trained("first", *options)

    again = ("--recipe", "first/recipe.toml", "--out", "again")
    assert intaglio("train", *CLASSIFIER, "--data", "images", *again) == 0

    table = tomllib.loads((first / "recipe.toml").read_text("utf-8"))["train"]
    assert (table["lr"], table["distill"], table["batch"]) == (0.03, 0.5, 4)
    for name in ("weights.safetensors", "recipe.toml"):
        assert (first / name).read_bytes() == Path("again", name).read_bytes()


def test_an_option_counts_more_than_the_train_table(place: Path) -> None:
    table = '[train]\nepochs = 3\nlr = 0.5\nflip = true\nmethod = "exact"\n'
    Path("mine.toml").write_text(f'scheme = "w4a4"\n{table}')

    out = trained("out", "--recipe", "mine.toml", "--lr", 0.001)

    said = record(out)
    assert (said["scheme"], said["method"]) == ("w4a4", "exact")
    assert said["options"]["lr"] == 0.001
    assert said["options"]["flip"] is True
    assert said["options"]["epochs"] == 2


def test_minutes_become_the_epochs_that_they_were(place: Path) -> None:
    arguments = (*CLASSIFIER, "--data", "images", "--batch", 4, "--minutes", 0.002)
    assert intaglio("train", *arguments, "--out", "out") == 0

    said = tomllib.loads(Path("out/recipe.toml").read_text("utf-8"))["train"]

    assert "minutes" not in said
    assert said["epochs"] * 2 == record(Path("out"))["steps"]  # 11 images learn, 4 at a time


def test_a_simulated_scheme_has_no_file_and_evaluate_runs_its_twin(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    out = trained("out", "--scheme", "w3a3", "--eval", "images", "--preprocess", "mean=0.5")

    assert "model.tflite" not in {file.name for file in out.iterdir()}
    assert package.load(out).report.verdict.bits == "no file"
    capsys.readouterr()
    assert intaglio("evaluate", "out", "--eval", "images", "--json") == 0
    found = printed_json(capsys)
    assert found["top1"] == record(out)["final"]["top1"]
    assert "twin" in found["runtime"]
    assert intaglio("check", "out", "--data", "images") == 2
    assert "simulated, so that there is no file to compare" in capsys.readouterr().err
    assert intaglio("evaluate", "out", "--eval", "images", "--target", "litert-reference") == 2
    assert "leave --target out" in capsys.readouterr().err


def test_images_without_labels_teach_by_the_float_network_alone(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    bare = (*CLASSIFIER, "--data", "images/c0", "--epochs", 1)

    assert "there are no labels to learn from" in refused(capsys, *bare, "--out", "out")
    assert "no labels" in refused(capsys, *bare, "--distill", 0.5, "--out", "out")
    assert not Path("out").exists()
    assert intaglio("train", *bare, "--out", "out", "--distill") == 0
    assert record(Path("out"))["options"]["distill"] == 1.0


def test_a_network_of_maps_learns_from_the_float_network(place: Path) -> None:
    arguments = ("tiny_networks:image_to_image", *SHAPE, "--data", "images", "--distill")

    assert intaglio("train", *arguments, "--eval", "images", "--out", "out") == 0

    said = record(Path("out"))
    assert said["start"]["n"] == said["final"]["n"] == 12
    assert len(said["start"]["sqnr_db"]) == len(said["final"]["sqnr_db"]) == 1


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--method", "lqs"), "unknown method 'lqs': did you mean lsq"),
        (("--method", "lsq", "--scheme", "float"), "method 'lsq'"),
        (("--scheme", "w9a9"), "'w9a9' cannot be held"),
        (("--recipe", "auto"), "recipe 'auto' searches"),
        (("--precision", "fp8"), "--precision: Input should be 'fp32'"),
        (("--lr", "-1"), "--lr: Input should be greater than 0"),
        (("--epochs", "0"), "--epochs: Input should be greater than 0"),
        (("--distill", "1.5"), "--distill"),
        (("--data", "nowhere"), "nowhere"),
        (("--out", "images/out"), "lies within --data"),
        (("--keep-float", "nothing"), "nothing"),
        (("--device", "gpu"), "gpu"),
    ],
)
def test_what_cannot_be_is_one_line(
    place: Path, capsys: pytest.CaptureFixture, options: tuple[str, ...], word: str
) -> None:
    before = sorted(place.rglob("*"))

    assert word in refused(capsys, *TRAINED, *options)
    assert sorted(place.rglob("*")) == before


def test_labels_that_the_network_has_not_are_refused_before_any_image_is_opened(
    place: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(Path("many"), classes=6)
    monkeypatch.setattr(ImageSamples, "take", None)

    said = refused(capsys, *CLASSIFIER, "--data", "many")

    assert "class index 4 of 'c4/0.png' is out of range: the network has 4 outputs" in said


def test_compress_refuses_a_recipe_that_trains(place: Path, capsys: pytest.CaptureFixture) -> None:
    Path("mine.toml").write_text("[train]\nepochs = 3\n")

    assert intaglio("compress", *CLASSIFIER, "--data", "images", "--recipe", "mine.toml") == 2

    assert "use 'intaglio train'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ("epoch = 3", "unknown key 'train.epoch' in a recipe: known are in [train] epochs, min"),
        ("lr = 0", "key 'train.lr'"),
        ('method = "lqs"', "unknown method 'lqs'"),
    ],
)
def test_a_wrong_word_in_a_train_table_is_named(
    place: Path, capsys: pytest.CaptureFixture, table: str, word: str
) -> None:
    Path("mine.toml").write_text(f"[train]\n{table}\n")

    assert word in refused(capsys, *TRAINED, "--recipe", "mine.toml")


def test_unreadable_images_are_counted_where_they_may_be_passed_over(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    Path("images/c1/0.png").write_bytes(b"no image")

    assert "c1/0.png" in refused(capsys, *TRAINED)
    out = trained("out", "--skip-bad-images")
    (warning,) = [text for text in record(out)["warnings"] if "unreadable" in text]
    assert "1 unreadable images were passed over, first:" in warning
    assert warning in package.load(out).report.warnings


def test_a_result_is_replaced_only_on_request_and_a_done_training_is_not_done_again(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    out = trained("out")
    before = (out / "train.json").read_bytes()

    assert "give --replace" in refused(capsys, *TRAINED, "--out", "out")
    assert "give --replace" in refused(capsys, *TRAINED, "--out", "out", "--resume", "--lr", 0.5)
    capsys.readouterr()
    trained("out", "--resume")
    assert "nothing is left to do" in capsys.readouterr().err
    assert (out / "train.json").read_bytes() == before


def test_a_new_training_says_that_it_drops_a_kept_one(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    first = trained("first")
    kept = Path(".out.intaglio-training")
    kept.mkdir()
    (kept / "state.safetensors").write_bytes((first / "state.safetensors").read_bytes())

    assert "images" in refused(capsys, *TRAINED, "--limit", 9, "--out", "out", "--resume")
    assert (kept / "state.safetensors").exists()
    capsys.readouterr()
    trained("out", "--limit", 9)
    assert "is dropped when this one first saves its state" in capsys.readouterr().err
    assert not kept.exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_run_goes_on_to_the_same_bytes(place: Path) -> None:
    Path("mine.toml").write_text("[train]\nsave_seconds = 0.01\n")
    arguments = (*TRAINED, "--epochs", 10, "--recipe", "mine.toml")

    done = python(DRIVER, "train", *arguments)

    assert done.returncode == 0, done.stderr
    assert done.stderr.count("kept True") == 2
    for name in ("model.tflite", "weights.safetensors", "recipe.toml"):
        assert Path("killed", name).read_bytes() == Path("whole", name).read_bytes()
    assert [path.name for path in place.iterdir() if path.name.startswith(".")] == []


def test_tensorboard_gets_curves_or_is_asked_for(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        assert "pip install 'intaglio[tensorboard]'" in refused(
            capsys, *TRAINED, "--tensorboard", "curves"
        )
        return
    trained("out", "--tensorboard", "curves")

    (events,) = Path("curves").iterdir()
    content = events.read_bytes()
    assert all(word in content for word in (b"loss", b"rate", b"held-out figure"))
