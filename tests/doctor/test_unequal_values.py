"""Channels far apart behind a ReLU: one grid for the value loses the small ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from intaglio.doctor import diagnose
from intaglio.doctor.finding import Finding
from intaglio.ir.graph import Graph
from intaglio.job.of_graph import compress_graph
from intaglio.read.module.export import capture
from intaglio.recipe.recipe import Recipe
from intaglio.run.float import run_float

IMAGES = torch.randn(48, 3, 16, 16, generator=torch.Generator().manual_seed(3))
CHANNELS = 16


def network(wide: int, factor: float = 300.0) -> Graph:
    """Return a plain network, `wide` of the first layer's channels scaled up and down again."""
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, CHANNELS, 3, 2, 1), nn.Conv2d(CHANNELS, 32, 3, 2, 1)
    with torch.no_grad():
        first.weight[:wide] *= factor
        first.bias[:wide] *= factor
        second.weight[:, :wide] /= factor
    pooled = (nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))
    return capture(nn.Sequential(first, nn.ReLU(), second, *pooled).eval(), IMAGES[:1])


def outputs_db(graph: Graph, *steps: str) -> float:
    recipe = Recipe(name="own", steps=[{"name": name} for name in steps])
    made = compress_graph(graph, data=IMAGES, recipe=recipe).twin(IMAGES)
    real = run_float(graph, IMAGES)[0]
    assert isinstance(made, Tensor)
    return float(10 * torch.log10(real.square().sum() / (real - made).square().sum()))


def only(graph: Graph) -> Finding:
    (found,) = diagnose(graph, [IMAGES]).findings
    return found


@pytest.mark.parametrize("wide", [1, CHANNELS // 2, CHANNELS - 3])
def test_channels_far_apart_are_to_be_equalized_also_where_each_row_has_a_scale(wide: int) -> None:
    graph = network(wide)

    found = only(graph)

    assert (found.cause, found.layer) == ("unequal-channel-ranges", "0")
    assert found.treatment is not None
    assert found.treatment.steps == ("equalize",)
    assert found.remedy.endswith("--recipe accurate-per-tensor")
    assert outputs_db(graph, *found.treatment.steps) > outputs_db(graph) + 20.0


@pytest.mark.parametrize(("wide", "factor"), [(0, 1.0), (CHANNELS, 300.0), (CHANNELS // 2, 2.0)])
def test_channels_alike_however_large_are_sound(wide: int, factor: float) -> None:
    assert diagnose(network(wide, factor), [IMAGES]).healthy
