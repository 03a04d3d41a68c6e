"""Steps on structure: graph and reference change together, the given state does not."""

from __future__ import annotations

import pytest
import torch

from intaglio.methods import STEPS, make_step
from intaglio.methods.steps.state import Context, Prepared
from intaglio.methods.steps.steps import STRUCTURE
from intaglio.passes.canonicalize import canonicalize
from intaglio.read.module.export import capture
from intaglio.run.float import run_float
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.lower.lower import lower
from methods.quantized import random_images, separable
from passes.statistics import statistics_of

X = random_images(16)
NAMES = [name for name in STEPS if STEPS[name].phase == STRUCTURE]


def lowered() -> Prepared:
    captured = capture(separable(), X[:1])
    graph = captured.copy()
    canonicalize(graph)
    lower(graph)
    return Prepared(graph, graph, statistics_of(captured))


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_is_the_graph_and_the_given_state_is_left_alone(name):
    state = lowered()
    params = {key: value.clone() for key, value in state.graph.params.items()}
    attrs = {node.name: dict(node.attrs) for node in state.graph}

    after = make_step({"name": name})(state, Context(X, LITERT))

    assert after.reference is after.graph
    assert all(torch.equal(state.graph.params[key], value) for key, value in params.items())
    assert {node.name: dict(node.attrs) for node in state.graph} == attrs


@pytest.mark.parametrize("name", [name for name in NAMES if not STEPS[name].alters])
def test_the_function_stays_on_the_tuning_images(name):
    state = lowered()

    after = make_step({"name": name})(state, Context(X, LITERT))

    wanted, found = run_float(state.graph, X)[0], run_float(after.graph, X)[0]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("images", [None, X[:0]])
def test_without_images_equalization_goes_by_statistics(images):
    state = lowered()

    after = make_step({"name": "equalize"})(state, Context(images, LITERT))

    wanted, found = run_float(state.graph, X)[0], run_float(after.graph, X)[0]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
