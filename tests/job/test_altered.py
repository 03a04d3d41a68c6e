"""A step that alters the network: what it costs is in the report, and the search sees it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import intaglio
from intaglio.job import ladder, rungs
from intaglio.job.outcome import CHECK_IMAGES
from intaglio.job.quantize import prepare_network, quantize_network
from intaglio.job.recorder import Recorder
from intaglio.job.rungs import Rung
from intaglio.read.module.export import capture
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import Recipe
from intaglio.recipe.settings import settle
from intaglio.report.layers import measure_layers
from intaglio.run.float import run_float
from intaglio.run.twin import build_twin
from intaglio.tasks import Wish
from intaglio.tasks.judge import Judge
from methods.quantized import random_images

X = random_images(32)
STEPS = [{"name": "replace-relu6"}, {"name": "correct-bias"}]


def clipped(*, softmax: bool = False) -> nn.Module:
    """Return a network most of whose values its ReLU6 cuts off."""
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    ]
    with torch.no_grad():
        layers[0].weight *= 40.0
    return nn.Sequential(*layers, *([nn.Softmax(1)] if softmax else [])).eval()


@pytest.fixture
def as_it_stands(monkeypatch):
    """Let a recipe end with less than its calibrator alone gives."""
    monkeypatch.setattr("intaglio.job.fixed._restructures", lambda settings: False)


def compressed(module: nn.Module, steps) -> intaglio.Result:
    return intaglio.compress(module, X[:1], data=X, recipe=Recipe(name="mine", steps=steps))


def decibels(real: torch.Tensor, found: torch.Tensor) -> float:
    noise = (found.double() - real.double()).square().sum()
    return 10.0 * math.log10(float(real.double().square().sum() / noise))


def test_the_report_measures_the_outputs_against_the_network_that_was_given(as_it_stands):
    module = clipped()

    result = compressed(module, STEPS)

    seen = X[:CHECK_IMAGES]
    with torch.no_grad():
        lost = decibels(module(seen), result.twin(seen))
    assert lost < 5.0
    assert result.report.integer.logits_sqnr_db == pytest.approx(lost, abs=1e-3)
    rows = {row.name: row for row in result.report.layers}
    (output,) = result.graph.outputs
    assert rows[output].sqnr_db == pytest.approx(lost, abs=1e-3)


def test_other_rows_are_measured_against_what_was_tuned_towards(as_it_stands):
    result = compressed(clipped(), STEPS)

    (output,) = result.graph.outputs
    assert all(row.sqnr_db > 25.0 for row in result.report.layers if row.name != output)


def test_both_rows_of_a_softmax_at_the_end_are_measured_against_the_network_that_was_given(
    as_it_stands,
):
    module = clipped(softmax=True)

    result = compressed(module, STEPS)

    seen = X[:CHECK_IMAGES]
    with torch.no_grad():
        logits = module[:-1](seen)
        lost = decibels(module(seen), result.twin(seen))
    (output,) = result.graph.outputs
    scores = result.graph[output].inputs[0]
    rows = {row.name: row for row in result.report.layers}
    assert rows[output].sqnr_db == pytest.approx(lost, abs=1e-3)
    integers = {}
    result.twin.run(seen, tap=lambda node, value: integers.update({node.name: value}))
    found = integers[scores] * result.encodings.activations[scores].scale
    assert result.report.integer.logits_sqnr_db == rows[scores].sqnr_db
    assert rows[scores].sqnr_db == pytest.approx(decibels(logits, found), abs=1e-3)


def test_a_recipe_that_alters_the_network_for_the_worse_is_undone_and_says_so():
    result = compressed(clipped(), STEPS)

    assert result.report.integer.logits_sqnr_db > 25.0
    assert "the steps of recipe 'mine' were all undone" in result.report.warnings[0]


def test_a_network_that_no_step_altered_is_measured_as_its_reference():
    result = compressed(clipped(), [{"name": "correct-bias"}])

    assert result.report.integer.logits_sqnr_db > 25.0


def test_values_that_are_not_asked_for_are_not_measured():
    result = compressed(clipped(), [])
    (output,) = result.graph.outputs

    rows = measure_layers(result.graph, result.twin, [X[:8]], values=[output])

    assert [row.name for row in rows if row.sqnr_db is not None] == [output]


def test_the_judge_of_a_search_sees_what_it_costs():
    recipe = Recipe(name="mine", steps=STEPS)
    settings = settle(recipe, None, Options())
    prepared, _ = prepare_network(capture(clipped(), X[:1]), settings, Recorder())

    state = quantize_network(prepared, settings, X, Recorder(), device="cpu").state

    with torch.no_grad():
        real = clipped()(X)
    torch.testing.assert_close(run_float(prepared.graph, X)[0], real)
    assert not torch.allclose(run_float(state.reference, X)[0], real, rtol=0.1)
    twin = build_twin(state.graph, state.encodings, settings.target)
    verdict = Judge(prepared.graph, X, None).of(twin)
    assert verdict.misses(Wish())
    assert verdict.sqnr_db < 5.0


def test_a_search_rolls_an_altered_network_back(monkeypatch):
    change = rungs.with_step("replace-relu6")
    rung = Rung("replace-relu6", "unproven", change, is_remedy=True)  # 6 images judge
    monkeypatch.setattr(ladder, "first_rungs", lambda plain, findings: iter([rung]))

    wishes = Options(max_drop=0.0, min_sqnr=100.0)
    result = intaglio.compress(clipped(), X[:1], data=X, options=wishes)

    plain, altered, *_ = result.report.attempts
    assert plain.sqnr_db > 25.0
    assert altered.sqnr_db < 5.0
    assert (altered.kept, altered.why) == (False, "did not help")
    assert result.recipe.steps == []
