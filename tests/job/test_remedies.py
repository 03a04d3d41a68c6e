"""Remedies tried: the points are those of two whole runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from doctor import patients
from doctor.clinic import captured, sound_images, verdict_on
from intaglio.doctor import Diagnosis
from intaglio.doctor.finding import Treatment
from intaglio.ir.graph import Graph
from intaglio.job.of_graph import compress_graph
from intaglio.job.remedies import Trial, apply_remedies, hold_for_trials
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import Recipe
from intaglio.run.float import run_float

SCHEME = "w8a8-per-tensor"


@pytest.fixture
def graph() -> Graph:
    return captured(patients.with_dead_channels, 0)


def trial(graph: Graph, *, labelled: bool) -> Trial:
    images = sound_images(7, 40)
    answers = run_float(graph, images)[0].argmax(1)
    held = hold_for_trials([images[:20], images[20:]], graph, seed=0)
    evaluate = (lambda: [(images, answers)]) if labelled else None
    return Trial(graph, held, evaluate, "litert", SCHEME)


def test_points_are_the_difference_of_two_whole_runs(graph: Graph) -> None:
    given = trial(graph, labelled=True)
    found = apply_remedies(verdict_on(patients.with_dead_channels, SCHEME, 0), given)

    images, answers = next(iter(given.evaluate()))
    tops = []
    for steps in ([], [{"name": "fold-dead-channels"}]):
        result = compress_graph(
            graph,
            data=given.held.tuning,
            recipe=Recipe(name="own", steps=steps, calibrator="minmax"),
            options=Options(scheme=SCHEME),
        )
        tops.append(100.0 * float((result.twin(images).argmax(1) == answers).float().mean()))
    assert found.findings[0].points == pytest.approx(tops[1] - tops[0])
    assert found.findings[0].points > 0
    assert found.to_dict()["findings"][0]["points"] == round(found.findings[0].points, 2)


def test_without_labels_agreement_on_images_apart_counts(graph: Graph) -> None:
    given = trial(graph, labelled=False)

    found = apply_remedies(verdict_on(patients.with_dead_channels, SCHEME, 0), given)

    assert len(given.held.judged) == 8  # a fifth of 40
    assert found.findings[0].points > 0


def test_a_finding_with_nothing_to_try_has_no_points(graph: Graph) -> None:
    finding = verdict_on(patients.with_dead_channels, SCHEME, 0).findings[0]
    nothing = Diagnosis((replace(finding, treatment=None),))

    assert apply_remedies(nothing, trial(graph, labelled=True)) == nothing


def test_a_remedy_that_is_refused_says_so_and_has_no_points(graph: Graph) -> None:
    finding = verdict_on(patients.with_dead_channels, SCHEME, 0).findings[0]
    wrong = Diagnosis((replace(finding, treatment=Treatment(keep_float=("no_such",))),))

    found = apply_remedies(wrong, trial(graph, labelled=True)).findings[0]

    assert found.points is None
    assert "not tried" in found.remedy
    assert "no_such" in found.remedy


def test_a_sound_network_is_not_treated() -> None:
    healthy = Diagnosis()

    assert apply_remedies(healthy, trial(captured(patients.healthy, 0), labelled=False)) is healthy
