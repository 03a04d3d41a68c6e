"""From a graph to its result: what `compress` does behind the capture, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import intaglio
from intaglio.errors import RequestError
from intaglio.job.of_graph import compress_graph
from intaglio.report.record import StepRow

X = torch.rand(6, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 5)).eval()


@pytest.mark.parametrize("recipe", ["plain", "accurate"])
def test_the_result_is_that_of_compress_to_the_byte(recipe):
    graph = intaglio.capture(network(), X[:1])

    of_graph = compress_graph(graph, data=X, recipe=recipe)
    of_module = intaglio.compress(network(), X[:1], data=X, recipe=recipe)

    assert of_graph.content == of_module.content
    assert of_graph.recipe == of_module.recipe
    assert of_graph.report.verdict == of_module.report.verdict


def test_the_graph_stays_as_it_is():
    graph = intaglio.capture(network(), X[:1])
    before = {key: value.clone() for key, value in graph.params.items()}
    names = [node.name for node in graph]

    compress_graph(graph, data=X, recipe="plain")

    assert [node.name for node in graph] == names
    assert before.keys() == graph.params.keys()
    assert all(torch.equal(value, graph.params[key]) for key, value in before.items())


def test_what_was_done_before_stands_first_among_the_steps():
    earlier = (StepRow("capture", 1.5), StepRow("cut", 0.5))

    result = compress_graph(
        intaglio.capture(network(), X[:1]), data=X, recipe="plain", steps=earlier
    )

    assert tuple(result.report.steps[:2]) == earlier
    assert len(result.report.steps) > 2


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"recipe": "no_such"}, "unknown recipe 'no_such'"),
        ({"recipe": "accurate", "data": None}, "data"),
        ({"recipe": "plain", "target": "no_such"}, "no_such"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(wishes, said):
    graph = intaglio.capture(network(), X[:1])

    with pytest.raises(RequestError, match=said):
        compress_graph(graph, **{"data": X} | wishes)
