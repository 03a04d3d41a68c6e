"""The search: it climbs while it must, keeps what helps, and can be repeated without searching."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import intaglio
from intaglio.errors import RequestError
from intaglio.recipe.recipe import RECIPES, Recipe
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

    names = [attempt.name for attempt in report.attempts]
    assert names[0] == "plain"
    assert "(the doctor's remedy)" in names[1]
    assert names[-3:] == ["accurate-per-tensor", "accurate", "percentile-99.99"]
    for attempt in report.attempts:
        assert attempt.n == 24
        assert attempt.why if not attempt.kept else attempt.why is None
        if attempt.seconds:
            assert attempt.size_bytes == pytest.approx(len(hard.content), rel=0.5)
            assert attempt.agreement is not None
            assert attempt.sqnr_db is not None


@pytest.mark.slow
def test_what_does_not_help_is_rolled_back_and_the_best_is_what_comes_out(hard):
    attempts = hard.report.attempts
    best = [attempt for attempt in attempts if attempt.kept][-1]
    assert best.sqnr_db > attempts[0].sqnr_db + 6.0
    assert hard.report.integer.logits_sqnr_db > 15.0
    assert hard.recipe.steps


@pytest.mark.slow
def test_the_recipe_that_was_found_repeats_the_file_without_a_search(hard):
    again = intaglio.compress(damaged(), X[:1], data=X, recipe=hard.recipe)

    assert not hard.recipe.search
    assert again.content == hard.content
    assert again.report.attempts == []


def test_a_wish_that_cannot_be_met_in_the_minutes_keeps_the_best_and_says_so():
    result = searched(damaged(), minutes=1e-3, **HARD)

    warning = result.report.warnings[0]
    assert "wish was not met" in warning
    assert "minutes were spent" in warning
    assert result.report.verdict.accuracy in ("amber", "red")
    first, *others = result.report.attempts
    assert (first.name, first.kept) == ("plain", True)
    assert "accurate-per-tensor" in [attempt.name for attempt in others]
    assert all("were spent" in attempt.why for attempt in others)
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


HOPELESS = {"scheme": "w2a8", "max_drop": 0.0, "min_sqnr": 90.0, "minutes": 5.0}


def wide() -> nn.Module:
    """Return a network with layers that are large enough to get few bits."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 128, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(128, 128, 1),
        nn.ReLU(),
        nn.Conv2d(128, 128, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, 5),
    )
    with torch.no_grad():
        module[-1].bias -= module(X).mean(0)
    return module.eval()


@pytest.mark.slow
def test_worst_layers_stay_in_float_only_where_that_is_allowed_and_the_reason_is_true():
    data, hopeless = random_images(300), {**HOPELESS, "scheme": "w8a8-per-tensor"}

    allowed = searched(damaged(), data, allow_float=True, **hopeless)
    other = searched(damaged(), data, **hopeless)

    assert any(attempt.name.endswith("in float") for attempt in allowed.report.attempts)
    assert any("among the worst layers" in kept.why for kept in allowed.report.kept_float)
    assert not any("asked for" in kept.why for kept in allowed.report.kept_float)
    assert not any("in float" in attempt.name for attempt in other.report.attempts)
    assert other.report.kept_float == []


@pytest.mark.slow
def test_in_few_bits_the_worst_layers_get_more_of_them_within_a_size():
    recipe, wishes = RECIPES["auto"], intaglio.Options(**HOPELESS)
    quick = recipe.model_copy(update={"judged_share": 0.4})  # of 120 images enough judge then

    report = intaglio.compress(wide(), X[:1], data=X, recipe=quick, options=wishes).report

    raised = [row for row in report.attempts if row.name.startswith("bits raised")]
    sizes = [row.size_bytes for row in raised]
    assert len(raised) == 3
    assert sizes == sorted(sizes)
    assert report.attempts[0].size_bytes < sizes[0]
    eight = searched(wide(), scheme="w8a8", max_drop=100.0, min_sqnr=0.0).report
    assert sizes[-1] < eight.attempts[0].size_bytes


def test_a_handful_of_images_never_climbs_dear_rungs():
    report = searched(damaged(), data=X[:16], **HARD).report

    assert report.attempts[0].n == 3
    assert "brecq" not in [attempt.name for attempt in report.attempts]


def test_every_image_that_is_not_tuned_on_judges():
    report = searched(data=random_images(300), max_drop=100.0).report

    assert report.data.judged == report.attempts[0].n == 60
    recipe = Recipe(search=True, judged_share=0.2, tuning_images=100)
    many = intaglio.compress(balanced(), X[:1], data=random_images(300), recipe=recipe).report
    assert many.data.judged == many.attempts[0].n == 200


def test_maps_that_are_near_enough_stop_at_plain_without_a_warning():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, 5, 1)).eval()

    report = searched(module, random_images(128)).report

    assert [attempt.name for attempt in report.attempts] == ["plain"]
    assert report.attempts[0].sqnr_db > 25.0
    assert report.warnings == []


class Late(intaglio.Options().progress.__class__):
    """Progress by which the time is up as soon as a step named begins."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
        self.monkeypatch, self.step = monkeypatch, step

    def begin(self, step: str, total: int | None) -> None:
        if step == self.step:
            self.monkeypatch.setattr("intaglio.job.deadline.time.perf_counter", lambda: 1e18)


def test_a_rung_is_ended_where_the_minutes_are_spent_and_leaves_what_was_before(monkeypatch):
    late = Late(monkeypatch, "round-second-order")

    result = searched(damaged(), progress=late, **HARD)

    ended = [attempt for attempt in result.report.attempts if "ended where" in (attempt.why or "")]
    assert [attempt.name for attempt in ended] == ["accurate-per-tensor"]
    assert "round-second-order" not in result.recipe.step_names
    assert result.report.check.mismatches == 0


def unequal(outputs: int) -> nn.Module:
    """Return a classifier whose first channels are 300 times as large as the others, within."""
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 16, 3, 2, 1, groups=16)
    module = nn.Sequential(
        first,
        nn.ReLU(),
        second,
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, outputs),
    )
    with torch.no_grad():
        first.weight[:2] *= 300.0
        first.bias[:2] *= 300.0
        second.weight[:2] /= 300.0
        module[-1].bias -= module(X).mean(0)
    return module.eval()


@pytest.mark.parametrize("scheme", ["w8a8", "w8a8-per-tensor"])
@pytest.mark.parametrize("outputs", [1, 4])
def test_one_logit_and_a_regression_are_seen_to_be_lost_and_the_doctors_remedy_saves_them(
    scheme, outputs
):
    module, fresh = unequal(outputs), random_images(200, seed=7)
    task = None if outputs == 1 else "values"

    result = searched(module, scheme=scheme, task=task, max_drop=5.0, min_sqnr=20.0)

    with torch.no_grad():
        real = module(fresh)
    found = result.twin(fresh)
    deviation = (real - real.mean(0)).square().sum() / (found - real).square().sum()
    assert 10.0 * torch.log10(deviation) > 15.0  # the wish is judged on 24 images
    assert result.report.attempts[0].sqnr_db < 10.0
    assert "equalize" in result.recipe.step_names


def test_labels_of_one_logit_are_sides_of_a_threshold():
    module = unequal(1)
    with torch.no_grad():
        labels = (module(X) > 0.0).long()

    report = intaglio.compress(module, X[:1], data=X, evaluate=(X, labels), recipe="plain").report

    assert report.float.top1 == 100.0
    assert report.integer.top1 < 80.0
    assert report.verdict.accuracy == "red"
    assert "missed" in report.warnings[-1]


def test_a_search_is_not_made_of_steps():
    with pytest.raises(RequestError, match=r"'search' and 'steps' contradict"):
        intaglio.compress(
            separable(), X[:1], data=X, recipe=Recipe(search=True, steps=[{"name": "equalize"}])
        )
