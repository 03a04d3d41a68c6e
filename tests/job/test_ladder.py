"""The search: it climbs while it must, keeps what helps, and can be repeated without searching."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import intaglio
from intaglio.errors import RequestError
from intaglio.recipe.recipe import Recipe
from methods.quantized import random_images, separable

X = random_images(120)
HARD = {"scheme": "w8a8-per-tensor", "max_drop": 0.0}


def balanced() -> nn.Module:
    """Return a network that gives no class a head start, so that many images are close calls."""
    module = separable()
    with torch.no_grad():
        module[-1].bias -= module(X).mean(0)
    return module


def damaged() -> nn.Module:
    """Return a network whose first layer has one kernel hundred times the others' size."""
    module = balanced()
    with torch.no_grad():
        module[0].weight[3] *= 100.0
        module[0].bias[3] = -1e4  # behind a ReLU6 it never comes through
    return module


def searched(module: nn.Module | None = None, data=X, **options) -> intaglio.Result:
    return intaglio.compress(
        module or balanced(), X[:1], data=data, options=intaglio.Options(**options)
    )


@pytest.fixture(scope="module")
def hard() -> intaglio.Result:
    """The damaged network, searched for a wish that cannot be met, with time for all attempts."""
    return searched(damaged(), **HARD)


@pytest.mark.slow
def test_it_stops_at_the_first_rung_where_the_wish_is_met():
    report = searched(max_drop=100.0).report

    assert [attempt.name for attempt in report.attempts] == ["plain"]
    assert report.attempts[0].kept
    assert report.warnings == []


@pytest.mark.slow
def test_every_attempt_states_what_it_cost_and_brought(hard):
    report = hard.report

    assert [attempt.name for attempt in report.attempts][:3] == ["plain", "mse", "percentile-99.99"]
    for attempt in report.attempts:
        assert attempt.n == 24
        assert attempt.why if not attempt.kept else attempt.why is None
        if attempt.seconds:
            assert attempt.agreement is not None
            assert attempt.sqnr_db is not None


@pytest.mark.slow
def test_what_does_not_help_is_rolled_back_and_the_best_is_what_comes_out(hard):
    attempts = hard.report.attempts
    assert any(not attempt.kept for attempt in attempts)
    best = [attempt for attempt in attempts if attempt.kept][-1]
    assert best.sqnr_db > attempts[0].sqnr_db + 6.0
    kept = {attempt.name for attempt in attempts if attempt.kept}
    for step in hard.recipe.step_names:
        assert step in kept


@pytest.mark.slow
def test_the_recipe_that_was_found_repeats_the_file_without_a_search(hard):
    again = intaglio.compress(damaged(), X[:1], data=X, recipe=hard.recipe)

    assert not hard.recipe.search
    assert again.content == hard.content
    assert again.report.attempts == []


def test_a_wish_that_cannot_be_met_in_the_minutes_keeps_the_best_and_says_so():
    result = searched(damaged(), minutes=1e-3, **HARD)

    (warning,) = result.report.warnings
    assert "wish was not met" in warning
    assert "minutes were spent" in warning
    skipped = [attempt for attempt in result.report.attempts if not attempt.seconds]
    assert "round-second-order" in [attempt.name for attempt in skipped]
    assert all("were spent" in attempt.why for attempt in skipped)
    assert result.report.check.mismatches == 0


def test_labels_of_the_data_are_judged_by():
    module = balanced()
    labels = module(X).argmax(1)

    report = searched(data=[(X, labels)], max_drop=0.0).report

    assert report.attempts[0].figures["float_top1"] == 100.0
    assert report.attempts[0].figures["top1"] == report.attempts[0].agreement


def test_images_to_evaluate_on_are_read_once_at_the_end():
    told: list[str] = []

    class Progress(intaglio.Options().progress.__class__):
        def begin(self, step: str, total: int | None) -> None:
            told.append(step)

    def evaluation():
        assert told[-1] == "evaluate"
        told.append("read")
        yield X, torch.zeros(120, dtype=torch.int64)

    options = intaglio.Options(max_drop=100.0, progress=Progress())
    intaglio.compress(separable(), X[:1], data=X, evaluate=evaluation(), options=options)

    assert told.count("read") == 1


def test_with_too_few_images_to_judge_it_stays_plain_and_says_so():
    report = searched(data=X[:6]).report

    assert [attempt.name for attempt in report.attempts] == ["plain"]
    assert "too few images" in report.warnings[0]


def test_the_scheme_mixed_is_searched_with_bits_for_each_layer():
    result = searched(scheme="mixed", max_drop=100.0)

    assert result.recipe.step_names[0] == "allocate-bits"
    assert result.report.check.mismatches == 0


def test_mixed_without_anything_that_decides_bits_is_refused_with_both_named():
    with pytest.raises(RequestError, match=r"scheme 'mixed'.*recipe 'plain'"):
        intaglio.compress(
            separable(), X[:1], data=X, recipe="plain", options=intaglio.Options(scheme="mixed")
        )


@pytest.mark.slow
def test_worst_layers_stay_in_float_where_nothing_else_helps():
    result = searched(scheme="w2a8-per-tensor", max_drop=0.0, minutes=2.0)

    names = [attempt.name for attempt in result.report.attempts]
    met = (100.0 - result.report.attempts[-1].agreement) == 0.0
    assert met or any("in float" in name for name in names)


def test_a_search_is_not_made_of_steps():
    with pytest.raises(RequestError, match=r"'search' and 'steps' contradict"):
        intaglio.compress(
            separable(), X[:1], data=X, recipe=Recipe(search=True, steps=[{"name": "equalize"}])
        )
