"""The harm of one change alone, against whole second runs."""

from __future__ import annotations

import math

import pytest
import torch

from doctor import patients
from doctor.clinic import captured, sound_images
from intaglio.doctor.alone import PIECE, Baseline, Change, sqnr_alone, sqnr_together
from intaglio.ir.graph import Graph
from intaglio.passes.canonicalize import canonicalize
from intaglio.run.float import run_float


@pytest.fixture
def graph() -> Graph:
    lowered = captured(patients.healthy, 0).copy()
    canonicalize(lowered)
    return lowered


def test_a_changed_weight_costs_what_a_whole_run_with_it_costs(graph: Graph) -> None:
    images = sound_images(count=PIECE + 2)
    name = next(node.name for node in graph if node.source == "project.0")
    weight = graph.param(graph[name], "weight") * 1.1
    other = graph.copy()
    other.set_param(other[name], "weight", weight)
    right, wrong = run_float(graph, images)[0], run_float(other, images)[0]
    expected = 10 * math.log10(right.square().sum() / (wrong - right).square().sum())

    found = sqnr_alone(Baseline.of(graph, images), [Change(name, {"weight": weight})])

    assert found == [pytest.approx(expected, abs=1e-3)]  # float32, summed in another order


def test_changes_do_not_mix(graph: Graph) -> None:
    images = sound_images(count=2)
    names = [node.name for node in graph if node.op == "conv2d"]
    changes = [Change(name, value=lambda value: value * 1.01) for name in names]

    together = sqnr_alone(Baseline.of(graph, images), changes)

    assert together == [sqnr_alone(Baseline.of(graph, images), [one])[0] for one in changes]


def test_no_change_does_no_harm(graph: Graph) -> None:
    assert sqnr_alone(Baseline.of(graph, sound_images(count=2)), [Change(graph.outputs[0])]) == [
        math.inf
    ]


def test_a_change_of_an_input_is_heard_by_that_node_alone(graph: Graph) -> None:
    add = next(node for node in graph if node.source == "" and node.op == "add")
    images = sound_images(count=2)

    one, all_readers = sqnr_alone(
        Baseline.of(graph, images),
        [
            Change(add.name, inputs={add.inputs[0]: torch.zeros_like}),
            Change(add.inputs[0], value=torch.zeros_like),
        ],
    )

    assert one > all_readers  # the value is also what `expand` reads


def test_nothing_to_try_needs_no_run(graph: Graph) -> None:
    assert sqnr_alone(Baseline.of(graph, sound_images(count=1)), []) == []


def test_changes_together_cost_what_a_whole_run_with_all_costs(graph: Graph) -> None:
    images = sound_images(count=PIECE + 2)
    names = [node.name for node in graph if node.source in ("project.0", "head.0")]
    other = graph.copy()
    for name in names:
        other.set_param(other[name], "weight", graph.param(graph[name], "weight") * 1.1)
    right, wrong = run_float(graph, images)[0], run_float(other, images)[0]
    expected = 10 * math.log10(right.square().sum() / (wrong - right).square().sum())
    changes = [Change(name, {"weight": other.param(other[name], "weight")}) for name in names]

    found = sqnr_together(Baseline.of(graph, images), changes)

    assert found == pytest.approx(expected, abs=1e-3)  # float32, summed in another order
    assert found < min(sqnr_alone(Baseline.of(graph, images), changes))
