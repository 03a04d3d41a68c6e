"""Networks of any task through a whole run: figures by output, labels refused before the work."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

import intaglio
from intaglio.errors import DataError
from intaglio.methods.steps.steps import NUMBERS, STEPS, register_step
from intaglio.recipe.recipe import Recipe
from intaglio.tasks import CLASSIFY, VALUES, compare

X = torch.randn(12, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Maps(nn.Module):
    """Two outputs of different shapes."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.body, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.body(x).relu()
        return self.head(y), y.mean((2, 3))


def run(evaluate: object) -> intaglio.Result:
    return intaglio.compress(Maps().eval(), X[:1], data=X, evaluate=evaluate, recipe="plain")


@pytest.mark.parametrize("given", [X, [X[:5], X[5:]], [(X,)]])
def test_maps_are_evaluated_without_labels_each_output_by_itself(given, tmp_path):
    result = run(given)

    report, names = result.report, result.graph.outputs
    again = compare(Maps().eval(), result.twin, [(X, None)], VALUES, names=names)
    assert report.task == "values"
    found = again.judgement.agreement.sqnr_db
    assert report.integer.sqnr_db == pytest.approx([found[name] for name in names], rel=1e-6)
    assert (report.integer.n, report.float.n, report.integer.agreement) == (12, 12, None)
    assert report.verdict.accuracy == "green"
    result.save(tmp_path / "out")
    assert intaglio.load(tmp_path / "out").report.to_dict() == report.to_dict()
    assert "Output SQNR (lowest of 2)" in str(intaglio.load(tmp_path / "out").report)


def test_maps_with_targets_have_errors_of_both_networks():
    with torch.no_grad():
        targets = Maps().eval()(X)

    report = run((X, targets)).report

    names = [name for name in report.integer.figures if name.startswith("rmse.")]
    assert len(names) == 2
    assert all(report.float.figures[name] < 1e-5 for name in names)
    assert all(report.integer.figures[name] > 1e-4 for name in names)


@pytest.mark.parametrize("labels", [torch.zeros(12, dtype=torch.int64), torch.zeros(12, 2)])
def test_labels_that_fit_no_task_are_refused_before_the_work(labels, monkeypatch):
    monkeypatch.setattr("intaglio.job.produce.prepare_network", pytest.fail)

    with pytest.raises(DataError, match=r"classifier with one output.*targets of their own shapes"):
        run((X, labels))


def test_a_classifier_without_labels_is_refused_before_the_work(monkeypatch):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    monkeypatch.setattr("intaglio.job.produce.prepare_network", pytest.fail)

    with pytest.raises(DataError, match=r"evaluate has no labels: give \(images, labels\)"):
        intaglio.compress(module, X[:1], data=X, evaluate=X)


def test_a_run_that_evaluates_nothing_states_no_task():
    report = run(None).report

    assert report.task is None
    assert report.wording is VALUES.wording
    assert report.wording is not CLASSIFY.wording
    assert report.integer.figures == {}


def test_a_step_is_given_the_task_of_the_network(monkeypatch):
    seen = []

    @dataclass(frozen=True)
    class Asking:
        """Remember the task."""

        def __call__(self, state, context):
            seen.append(context.task.name)
            return state

    monkeypatch.setattr(STEPS, "_entries", dict(STEPS._entries))
    register_step("asking", NUMBERS, needs=("task",))(Asking)
    recipe = Recipe(name="asking", steps=[{"name": "asking"}])
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    classes = nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten())
    for module in (classes, nn.Conv2d(3, 4, 3)):
        intaglio.compress(module, x[:1], data=x, recipe=recipe)

    assert seen == ["classify", "values"]
