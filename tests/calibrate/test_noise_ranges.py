"""Ranges seen on noise: widened ends, and what is expected of scores of classes."""

from __future__ import annotations

import pytest
import torch

from architectures.sketch import Sketch
from intaglio.calibrate.noise_ranges import (
    ABOVE,
    BELOW,
    MARGIN,
    PHOTOGRAPHS,
    noise_ranges,
    score_ranges,
    scores_classes,
)
from intaglio.ir.graph import Graph
from intaglio.numerics.normal import Normal
from intaglio.run.float import run_float

NOISE = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def classifier(weight: torch.Tensor, bias: torch.Tensor, *, activation=None) -> Graph:
    """Return scores of pooled values, with given weights [classes, 4]."""
    sketch = Sketch(3, 8, 8)
    sketch.conv("inner", "x", 4)
    sketch.add("pool", "mean", "inner", axes=(2, 3), keepdim=False)
    weights = {"weight": weight, "bias": bias}
    sketch.weighted("scores", "linear", "pool", weights, activation=activation)
    return sketch.done()


def ranged(graph: Graph, statistics: dict[str, Normal]) -> tuple[float, float]:
    low, high = score_ranges(graph, NOISE, statistics, {"scores"})["scores"]
    assert low.dtype == high.dtype == torch.float32
    return low.item(), high.item()


def test_values_have_their_ends_on_noise_a_quarter_wider():
    graph = classifier(torch.randn(5, 4), torch.randn(5))
    values = {}
    run_float(graph, NOISE, tap=lambda node, value: values.update({node.name: value}))

    ranges = noise_ranges(graph, NOISE, {}, {"inner", "scores"})

    assert set(ranges) == {"inner", "scores"}
    for name, (low, high) in ranges.items():
        assert low.item() == pytest.approx(MARGIN * min(values[name].min().item(), 0.0))
        assert high.item() == pytest.approx(MARGIN * max(values[name].max().item(), 0.0))


def test_scores_reach_further_up_than_down_by_the_deviation_of_all_of_them():
    graph = classifier(torch.randn(5, 4), torch.randn(5))
    values = {}
    run_float(graph, NOISE, tap=lambda node, value: values.update({node.name: value}))
    variance, mean = torch.var_mean(values["scores"].double(), 0, correction=0)
    deviation = PHOTOGRAPHS * variance.mean().sqrt().item()

    low, high = ranged(graph, {})

    assert low == pytest.approx(mean.min().item() - BELOW * deviation, rel=1e-5)
    assert high == pytest.approx(mean.max().item() + ABOVE * deviation, rel=1e-5)


def test_features_that_go_together_widen_scores_that_add_them_and_not_those_that_subtract_them():
    together = torch.ones(3, 4)
    apart = torch.tensor([[1.0, -1.0, 1.0, -1.0]]).expand(3, 4)
    graphs = [classifier(weight, torch.zeros(3)) for weight in (together, apart)]
    for graph in graphs:  # every channel is the same
        graph.params["inner.weight"] = torch.ones_like(graph.params["inner.weight"])
        graph.params["inner.bias"] = torch.zeros(4)

    added, subtracted = (ranged(graph, {}) for graph in graphs)

    assert added[1] > 1.0
    assert subtracted[1] == pytest.approx(0.0, abs=1e-4)


def test_scores_are_those_of_values_with_the_statistics_of_batch_norms():
    graph = classifier(torch.eye(4)[:3], torch.zeros(3))
    stated = Normal(torch.full((4,), 2.0).double(), torch.zeros(4).double())

    low, high = ranged(graph, {"inner": stated})

    assert low == 0.0
    assert high == pytest.approx(2.0, rel=1e-5)


def test_a_clamp_behind_scores_holds_their_range():
    graph = classifier(torch.randn(5, 4), torch.randn(5), activation=(0.0, 1.0))

    low, high = ranged(graph, {})

    assert 0.0 == low <= high <= 1.0


@pytest.mark.parametrize(("classes", "expected"), [(2, False), (3, True)])
def test_scores_of_classes_are_several_numbers(classes, expected):
    graph = classifier(torch.randn(classes, 4), torch.randn(classes))

    assert scores_classes(graph["scores"]) is expected
    assert not scores_classes(graph["inner"])
