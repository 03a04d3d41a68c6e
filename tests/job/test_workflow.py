"""The published workflow: calibrators, then layers in float, then training, as far as need be."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import intaglio
from intaglio.calibrate.float_islands import SENSITIVE
from intaglio.errors import RequestError
from intaglio.job import ladder, workflow
from intaglio.job.workflow import CALIBRATORS_TRIED
from intaglio.methods.learn.schedule import steps_in_epoch
from intaglio.methods.train.step import Train
from intaglio.recipe.recipe import LADDERS, RECIPES, Recipe, find_recipe, to_toml
from intaglio.tasks import CLASSIFY
from job.test_ladder import Late, damaged
from methods.quantized import calibrated, random_images

X = random_images(120, size=8)
MANY = random_images(240, size=8)  # to train on
QUICK = RECIPES["workflow"].model_copy(update={"judged_share": 0.4})
"""Of 120 images 48 judge then: as few as dear rungs want."""
FEW = CALIBRATORS_TRIED[:2]
EASY = {"max_drop": 100.0, "min_sqnr": 0.0}
HARD = {"scheme": "w8a8-per-tensor", "max_drop": 1.0, "min_sqnr": 20.0}
HOPELESS = {"max_drop": 0.0, "min_sqnr": 100.0}


def narrow() -> nn.Module:
    """Return a network most of whose weights can have 4 bits; its classes differ by what it saw."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 104, 3, 4, 1, bias=False),
        nn.BatchNorm2d(104, momentum=None),
        nn.ReLU6(),
        nn.Conv2d(104, 104, 1, bias=False),
        nn.BatchNorm2d(104, momentum=None),
        nn.ReLU6(),
        nn.Flatten(),
        nn.Linear(416, 5),
    )
    with torch.no_grad():
        module(MANY)
        scores = module.eval()(MANY)
        module[-1].weight *= 2.0 / scores.std(0, keepdim=True).T
        module[-1].bias -= module(MANY).mean(0)
    return module


def run(module: nn.Module, data=X, recipe: str | Recipe = QUICK, **options) -> intaglio.Result:
    wishes = intaglio.Options(**options)
    return intaglio.compress(module, X[:1], data=data, recipe=recipe, options=wishes)


def names(result: intaglio.Result) -> list[str]:
    return [attempt.name for attempt in result.report.attempts]


@pytest.fixture(scope="module")
def partly() -> intaglio.Result:
    """A network that every calibrator harms, and that needs but one layer in float."""
    return run(damaged(), **HARD)


@pytest.fixture(scope="module")
def trained() -> intaglio.Result:
    """A network of four bits that misses any wish, where no layer is tried in float."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workflow, "IN_FLOAT", ())
        patch.setattr(workflow, "EPOCHS", 8.0)  # as many are enough
        patch.setattr(workflow, "CALIBRATORS_TRIED", FEW)
        return run(narrow(), MANY, "workflow", scheme="w4a8", **HOPELESS)


def test_where_calibrators_meet_the_wish_nothing_else_is_tried_and_the_best_one_is_kept():
    result = run(damaged(), **EASY)

    attempts = result.report.attempts
    assert names(result) == list(CALIBRATORS_TRIED)
    assert result.recipe.calibrator == [row.name for row in attempts if row.kept][-1]
    assert (result.recipe.steps, result.recipe.keep_float) == ([], None)
    assert result.report.warnings == []


def test_layers_stay_in_float_where_calibrators_miss_the_wish_until_it_is_met(partly):
    report = partly.report

    assert names(partly)[4:] == [f"{partly.recipe.keep_float[0]} in float"]
    assert report.attempts[-1].kept
    assert report.attempts[-1].agreement > report.attempts[0].agreement + 10.0
    assert report.warnings == []


def test_the_report_names_layers_in_float_with_the_true_reason(partly):
    told = {kept.name: kept.why for kept in partly.report.kept_float}

    assert told[partly.recipe.keep_float[0]] == SENSITIVE
    assert not any("allow_float" in why or "asked for" in why for why in told.values())


def test_training_comes_last_from_the_best_calibrator_and_with_its_ranges(trained):
    best = [row for row in trained.report.attempts[:2] if row.kept][-1]

    assert names(trained)[2:] == [f"{best.name} and 8 epochs of training"]
    assert trained.report.attempts[-1].kept
    assert trained.report.attempts[-1].sqnr_db > best.sqnr_db + 1.0
    assert trained.recipe.calibrator == best.name
    assert trained.recipe.keep_float is None
    (step,) = trained.recipe.steps
    assert (step["name"], step["method"]) == ("train", "fixed")
    assert step["options"]["distill"] == 1.0
    plain = run(narrow(), MANY, trained.recipe.model_copy(update={"steps": []}))
    for name, grid in plain.encodings.activations.items():
        assert trained.encodings.activations[name].same_grid(grid)


def test_what_was_found_repeats_the_file_without_a_search(partly, trained, tmp_path: Path):
    path = tmp_path / "recipe.toml"
    for made, module, data in ((partly, damaged(), X), (trained, narrow(), MANY)):
        path.write_text(to_toml(made.recipe), encoding="utf-8")
        recipe = find_recipe(str(path))

        again = run(module, data, recipe)

        assert not recipe.search
        assert recipe.allow_float is None
        assert recipe.steps == made.recipe.steps
        assert again.content == made.content
        assert again.report.attempts == []


def test_training_that_does_not_help_is_rolled_back(monkeypatch):
    monkeypatch.setattr(workflow, "CALIBRATORS_TRIED", FEW)

    result = run(damaged(), task="values", **{**HARD, "min_sqnr": 100.0})

    assert names(result)[-1].endswith("20 epochs of training")
    last = result.report.attempts[-1]
    assert (last.kept, last.why) == (False, "did not help")
    assert result.recipe.steps == []
    assert result.recipe.keep_float
    assert "everything on the ladder was tried" in result.report.warnings[0]


def test_a_training_that_would_not_fit_is_cut_before_it_begins_and_says_its_epochs(monkeypatch):
    monkeypatch.setattr(workflow, "IN_FLOAT", ())
    monkeypatch.setattr(workflow, "CALIBRATORS_TRIED", FEW)
    monkeypatch.setattr(Train, "epochs_within", lambda *given: 6.57)

    result = run(narrow(), MANY, "workflow", scheme="w4a8", minutes=1e5, **HOPELESS)

    assert names(result)[-1].endswith("and 6.5 of 20 epochs of training")
    (step,) = result.recipe.steps
    assert step["options"]["epochs"] == 6.5
    assert "minutes" not in step["options"]
    assert "before everything was tried: give more" in result.report.warnings[0]


def test_a_training_of_which_next_to_nothing_would_fit_is_not_begun(monkeypatch):
    monkeypatch.setattr(workflow, "IN_FLOAT", ())
    monkeypatch.setattr(workflow, "CALIBRATORS_TRIED", FEW)
    monkeypatch.setattr(Train, "epochs_within", lambda *given: 0.97)

    result = run(damaged(), minutes=1e5, **HARD)

    last = result.report.attempts[-1]
    assert last.name == "training"
    assert last.why == "0.9 of 20 epochs would fit into the minutes that are left"
    assert result.recipe.steps == []


def test_the_epochs_that_fit_are_counted_on_a_network_that_stays_as_it_was():
    state, context = calibrated(images=MANY)
    context = replace(context, task=CLASSIFY)
    before = {name: tensor.clone() for name, tensor in state.graph.params.items()}
    step = Train("fixed", workflow.SCHEDULE)

    fewest, many = (step.epochs_within(minutes, state, context) for minutes in (1e-9, 1e6))

    assert fewest == 1.0 / steps_in_epoch(workflow.SCHEDULE, 216)  # one step; a tenth measures
    assert many > 1e3
    assert all(torch.equal(state.graph.params[name], old) for name, old in before.items())


def test_calibrators_and_layers_in_float_have_a_share_of_the_minutes(monkeypatch):
    seconds = itertools.count()  # a second goes by from one look at the clock to the next
    monkeypatch.setattr("intaglio.job.climb.time.perf_counter", lambda: float(next(seconds)))

    result = run(damaged(), minutes=1e-3, **HARD)

    first, *others = result.report.attempts
    assert (first.name, first.kept) == ("minmax", True)
    assert [row.name for row in others] == list(CALIBRATORS_TRIED[1:])
    assert {row.why for row in others} == {"its share of the minutes was spent"}
    assert "minutes were spent" in result.report.warnings[0]


def test_a_ranking_is_ended_where_its_share_is_spent_and_leaves_what_was_before(monkeypatch):
    result = run(damaged(), progress=Late(monkeypatch, "rank layers"), **HARD)

    rows = {row.name: row.why for row in result.report.attempts}
    assert rows["the most sensitive layers in float"] == (
        "ended where its share of the minutes was spent"
    )
    assert rows["training"] == "the minutes were spent"
    assert result.recipe.keep_float is None
    assert result.report.check.mismatches == 0


def test_with_few_images_to_judge_on_nothing_dear_is_tried():
    assert names(run(damaged(), X[:60], **HARD)) == list(CALIBRATORS_TRIED)
    assert names(run(damaged(), X[:16], **HARD)) == ["minmax"]


def test_every_ladder_has_rungs_and_a_recipe_of_its_name():
    assert set(ladder.LADDERS) == set(LADDERS)
    assert all(RECIPES[name].search for name in LADDERS)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"calibrator": "mse"}, r"--calibrator mse: recipe 'workflow' tries calibrators"),
        ({"allow_float": False}, r"allow_float=False: recipe 'workflow' leaves layers in float"),
    ],
)
def test_wishes_against_what_the_workflow_is_are_refused(options, said):
    with pytest.raises(RequestError, match=said):
        run(damaged(), **options)
