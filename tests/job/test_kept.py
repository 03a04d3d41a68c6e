"""Long runs without images in Python: kept beside the place of the result, and going on."""

from __future__ import annotations

from pathlib import Path

import pytest

import intaglio
from intaglio.errors import RequestError
from intaglio.job import quantize
from intaglio.job.kept import is_kept
from intaglio.job.training import TrainRun, wished
from intaglio.methods.datafree import distill
from intaglio.methods.datafree.synthesis import Synthesis
from intaglio.methods.steps.state import Context
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import Recipe, find_recipe
from intaglio.recipe.settings import settle
from intaglio.runtimes import LITERT
from job.test_data_free import X, network, photographs

LONG = Recipe(
    name="mine", synthetic=Synthesis(images=8, batch=4, steps=4, save_seconds=1e-3, save=True)
)


def made(recipe: Recipe | str = LONG, **words: object) -> intaglio.Result:
    return intaglio.compress(network(), X, recipe=recipe, options=Options(**words))


@pytest.fixture
def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a run leaves which ends behind its fifth step."""
    step, taken = distill._step, []

    def ends(*arguments):
        taken.append(1)
        if len(taken) > 5:
            raise KeyboardInterrupt
        return step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(distill, "_step", ends)
        with pytest.raises(KeyboardInterrupt):
            made(out=tmp_path / "out")
    return tmp_path / ".out.intaglio-training"


def test_a_run_goes_on_to_the_same_bytes_and_saving_it_ends_the_keeping(interrupted: Path):
    whole = made()

    result = made(out=interrupted.parent / "out", resume=True)

    assert result.files == whole.files
    assert result.synthetic.to_bytes() == whole.synthetic.to_bytes()
    assert (interrupted / "distill" / "state.safetensors").is_file()
    result.save(interrupted.parent / "out")
    assert not interrupted.exists()


def test_nothing_is_kept_of_a_run_with_images_or_without_long_stages(tmp_path: Path):
    made("dfq", out=tmp_path / "out")
    made("datafree", scheme="w8a8-per-tensor", out=tmp_path / "out")
    intaglio.compress(
        network(), X, data=photographs(8), recipe="plain", options=Options(out=tmp_path / "out")
    )

    assert list(tmp_path.iterdir()) == []


def test_going_on_is_refused_where_it_means_nothing(tmp_path: Path):
    with pytest.raises(RequestError, match=r"say Options\(out=...\)"):
        made(resume=True)
    with pytest.raises(RequestError, match="neither makes images nor trains"):
        made("dfq", resume=True, out=tmp_path / "out")
    with pytest.raises(RequestError, match="neither makes images nor trains"):  # by its network
        made("datafree", scheme="w8a8-per-tensor", resume=True, out=tmp_path / "out")
    with pytest.raises(RequestError, match="no run without images is kept"):
        made(resume=True, out=tmp_path / "out")
    with pytest.raises(RequestError, match="say --data none"):
        intaglio.compress(
            network(), X, data=photographs(4), recipe="plain", options=Options(resume=True)
        )
    assert list(tmp_path.iterdir()) == []


def test_a_training_takes_the_words_of_its_own_run():
    for choices in (Options(resume=True), Options(out="out")):
        with pytest.raises(RequestError, match="words of TrainRun"):
            wished(TrainRun(choices=choices), scheme=None, method=None, options=None)


def test_steps_of_one_name_are_kept_apart(tmp_path: Path):
    steps = [{"name": name} for name in ("train-zaq", "train-gdfq", "train-zaq")]
    settings = settle(Recipe(name="mine", steps=steps), None, Options())
    context = Context(None, LITERT, place=tmp_path, resume=True)

    found = [quantize._at_step(context, settings, number) for number in range(3)]

    assert [at.place.name for at in found] == ["train-zaq", "train-gdfq", "train-zaq-2"]
    assert not any(at.resume for at in found)
    assert quantize._at_step(Context(None, LITERT), settings, 0).place is None


@pytest.mark.parametrize("name", ["zeroq", "genie", "synq", "gdfq", "zaq"])
def test_recipes_that_make_images_or_train_without_are_kept(name: str):
    assert is_kept(find_recipe(name))
    assert not is_kept(find_recipe("datafree"))
