"""compress --data none --resume: a killed run goes on to the same bytes, and no other one does."""

from __future__ import annotations

import json
import os
import runpy
from pathlib import Path

import pytest
from safetensors.torch import save_file

from cli.tiny import CLASSIFIER, intaglio
from forks import python
from intaglio.cli.main import main
from intaglio.methods.datafree import distill

LONG = (*CLASSIFIER, "--data", "none", "--recipe", "mine.toml")
RECIPE = """
name = "mine"
calibrator = "mse"

[synthetic]
images = 12
batch = 6
steps = 12
save = true
save_seconds = 0.001
"""
TRAINED = """
[[steps]]
name = "train-zaq"
steps = 12
batch = 4
width = 8
latent = 4
warmup = 6
save_seconds = 0.001
"""
DRIVER = """
import os, signal, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from intaglio.cli.main import main
from intaglio.errors import RequestError
from intaglio.methods.learn.checkpoint import load

KEPT = Path(".killed.intaglio-training")

def reached(stage):
    try:
        facts = load(KEPT / stage).facts
    except (RequestError, RuntimeError):  # none yet, or exchanged while it was read
        return False
    state = facts.state
    return state["number"] == 1 and state["step"] > 3 if stage == "distill" else facts.step > 9

arguments = sys.argv[1:]
assert main([*arguments, "--out", "whole", "--json"]) == 0
for stage, more in (("distill", []), ("train-zaq", ["--resume"])):
    child = os.fork()
    if not child:
        sys.stdout = open(os.devnull, "w")
        os._exit(main([*arguments, "--out", "killed", *more]))
    until = time.monotonic() + 200
    while not reached(stage):
        assert time.monotonic() < until
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print("kept", stage, sorted(path.name for path in KEPT.iterdir()), file=sys.stderr)
assert not os.path.exists("killed")
sys.exit(main([*arguments, "--out", "killed", "--resume"]))
"""
FILES = (
    "model.tflite",
    "encodings.json",
    "recipe.toml",
    "graph.json",
    "graph.safetensors",
    "synthetic.safetensors",
)


@pytest.fixture
def recipe(place: Path) -> Path:
    path = place / "mine.toml"
    path.write_text(RECIPE)
    return path


def refused(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """Return the one line with which a command is refused."""
    capsys.readouterr()
    assert intaglio("compress", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = [line for line in err.splitlines() if line.startswith("intaglio: error: ")]
    return str(line)


@pytest.fixture
def interrupted(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that ended while it made images, and the folder that it left."""
    step, taken = distill._step, []

    def ends(*arguments):
        taken.append(1)
        if len(taken) > 8:
            raise KeyboardInterrupt
        return step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(distill, "_step", ends)
        main(["compress", *LONG, "--out", "out"])
    kept = Path(".out.intaglio-training")
    assert (kept / "distill" / "state.safetensors").is_file()
    assert not Path("out").exists()
    return kept


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_run_killed_in_each_of_its_stages_goes_on_to_the_same_bytes(recipe: Path) -> None:
    recipe.write_text(RECIPE + TRAINED)

    done = python(DRIVER, "compress", *LONG)

    assert done.returncode == 0, done.stderr
    assert "kept distill ['distill', 'run.json']" in done.stderr
    assert "kept train-zaq ['distill', 'run.json', 'train-zaq']" in done.stderr
    for name in FILES:
        assert Path("killed", name).read_bytes() == Path("whole", name).read_bytes(), name
    first, second = (
        json.loads(Path(out, "report.json").read_text())["synthetic"] for out in ("killed", "whole")
    )
    assert {**first, "seconds": 0} == {**second, "seconds": 0}
    assert [path.name for path in recipe.parent.iterdir() if path.name.startswith(".")] == []


def test_a_run_that_was_interrupted_is_kept_and_goes_on(
    interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, taken = distill._step, []

    def counted(*arguments):
        taken.append(1)
        return step(*arguments)

    monkeypatch.setattr(distill, "_step", counted)

    assert intaglio("compress", *LONG, "--out", "out", "--resume") == 0

    assert len(taken) == 24 - 8
    assert Path("out", "synthetic.safetensors").is_file()
    assert not interrupted.exists()


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (("--seed", "1"), "seed was 0 and is 1"),
        (("--scheme", "w4a8"), "scheme was w8a8 and is w4a8"),
        (("--calibrator", "minmax"), "calibrator was mse and is minmax"),
        (("--keep-float", "0"), "keep_float was  and is 0"),
        (("--preprocess", "mean=0.5"), "preprocess was "),
    ],
)
def test_what_was_asked_otherwise_is_named_and_what_is_kept_stays(
    interrupted: Path, capsys: pytest.CaptureFixture, more: tuple[str, ...], what: str
) -> None:
    said = refused(capsys, *LONG, "--out", "out", "--resume", *more)

    assert "another one" in said
    assert what in said
    assert (interrupted / "distill" / "state.safetensors").is_file()


def test_other_weights_of_the_same_network_do_not_go_on(
    interrupted: Path, capsys: pytest.CaptureFixture
) -> None:
    other = runpy.run_path("tiny_networks.py")["classifier"]()
    save_file(other.state_dict(), "other.safetensors")
    arguments = (*LONG, "--weights", "other.safetensors", "--out", "out", "--resume")

    assert "weights was " in refused(capsys, *arguments)


def test_how_often_it_is_saved_may_be_said_anew(interrupted: Path, recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("0.001", "5.0").replace("save = true", "save = false"))

    assert intaglio("compress", *LONG, "--out", "out", "--resume") == 0

    assert not Path("out", "synthetic.safetensors").exists()


def test_a_damaged_state_is_named(interrupted: Path, capsys: pytest.CaptureFixture) -> None:
    (interrupted / "run.json").write_text("{")
    assert "run.json" in refused(capsys, *LONG, "--out", "out", "--resume")
    (interrupted / "run.json").unlink()
    assert "no run without images is kept" in refused(capsys, *LONG, "--out", "out", "--resume")


def test_without_the_word_it_is_dropped_and_that_is_told(
    interrupted: Path, recipe: Path, capsys: pytest.CaptureFixture
) -> None:
    recipe.write_text(RECIPE.replace("steps = 12\nsave", "steps = 2\nsave"))
    capsys.readouterr()

    assert intaglio("compress", *LONG, "--out", "out") == 0

    assert "was not finished is dropped when this one begins" in capsys.readouterr().err
    assert not interrupted.exists()


def test_where_nothing_is_kept_going_on_is_refused(
    recipe: Path, capsys: pytest.CaptureFixture
) -> None:
    none = (*CLASSIFIER, "--data", "none")

    assert "no run without images is kept for" in refused(capsys, *LONG, "--out", "out", "--resume")
    assert "neither makes images nor trains" in refused(
        capsys, *none, "--recipe", "dfq", "--resume"
    )
    assert "say --data none" in refused(capsys, *CLASSIFIER, "--data", "images", "--resume")
    assert "say --data none" in refused(capsys, *CLASSIFIER, "--resume")
    assert not [path for path in recipe.parent.iterdir() if path.name.startswith(".")]


def test_a_run_that_fails_before_anything_was_saved_leaves_nothing(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(distill, "_step", fails)

    main(["compress", *LONG, "--out", "out"])

    assert not [path for path in recipe.parent.iterdir() if path.name.startswith(".")]
