"""Schemes of papers: exactly the values that they name have a grid, with exactly those bits."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from intaglio.calibrate import make_plan
from intaglio.errors import RequestError, UnknownName
from intaglio.job.quantize import prepare_network
from intaglio.job.recorder import Recorder
from intaglio.numerics.scheme import parse_scheme
from intaglio.read.module.export import capture
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import Recipe
from intaglio.recipe.settings import settle
from intaglio.runtimes import LITERT, SIMULATION
from intaglio.targets.target import runnable_scheme


class Net(nn.Module):
    """A stem, a residual block, a pool and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.first = nn.Conv2d(4, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return five scores."""
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.second(torch.relu(self.first(x))))
        return self.head(x.mean((2, 3)))


def planned(scheme: str):
    captured = capture(Net().eval(), torch.zeros(1, 3, 8, 8))
    settings = settle(Recipe(), None, Options(scheme=scheme))
    prepared, settings = prepare_network(captured, settings, Recorder())
    return make_plan(prepared.graph, settings.target, settings.scheme)


def bits_by_op(scheme: str) -> tuple[list[tuple[str, int]], list[int]]:
    graph, plan = planned(scheme)
    activations = [(graph[name].op, spec.bits) for name, spec in plan.activations.items()]
    return activations, [spec.bits for spec in plan.weights.values()]


def test_academic_quantizes_what_is_behind_a_relu_and_all_weights():
    activations, weights = bits_by_op("w4a3-academic")

    assert activations == [("conv2d", 3), ("conv2d", 3), ("add", 3)]
    assert weights == [4, 4, 4, 4]


def test_squant_quantizes_what_layers_read_but_for_the_image_and_leaves_branches_in_float():
    graph, plan = planned("w4a3-squant")

    assert [spec.bits for spec in plan.activations.values()] == [3, 3, 8]
    assert {graph[name].op for name in plan.activations} == {"quantize"}
    (total,) = [node for node in graph if node.op == "add"]
    assert all(graph[name].op != "quantize" for name in total.inputs)


def test_genie_gives_the_ends_eight_bits():
    activations, weights = bits_by_op("w4a4-genie")

    assert [bits for _, bits in activations] == [8, 4, 4, 8]
    assert weights == [8, 4, 4, 8]


def test_layers_may_have_bits_of_their_own_and_unknown_ones_are_named():
    captured = capture(Net().eval(), torch.zeros(1, 3, 8, 8))
    scheme = parse_scheme("w4a4-academic")
    settings = settle(Recipe(), None, Options(scheme=scheme.name))
    graph = prepare_network(captured, settings, Recorder())[0].graph
    layer = next(node.name for node in graph if node.op == "linear")

    _, plan = make_plan(graph, SIMULATION, scheme, weight_bits={layer: 8})

    assert plan.weights[layer].bits == 8
    with pytest.raises(RequestError, match="nowhere"):
        make_plan(graph, SIMULATION, scheme, weight_bits={"nowhere": 8})


def test_a_device_does_not_run_them_and_says_so():
    with pytest.raises(UnknownName, match="leave --target out"):
        runnable_scheme("w4a4-academic", LITERT)


def test_nobody_has_to_name_the_simulation():
    assert settle(Recipe(), None, Options(scheme="w4a4-academic")).target is SIMULATION
    assert settle(Recipe(scheme="w5a5-genie"), None, Options()).target is SIMULATION
    assert settle(Recipe(), None, Options(scheme="w4a4")).target is LITERT


@pytest.mark.parametrize("text", ["w4a4-academic", "w2a16-squant", "w8a8-genie"])
def test_names_of_papers_schemes_are_read(text):
    scheme = parse_scheme(text)

    assert scheme.name == text
    assert scheme.coverage == text.rpartition("-")[2]
    assert scheme.per_channel


@pytest.mark.parametrize("text", ["w4a4-zaq", "mixed-academic", "w4a4-academic-per-tensor"])
def test_other_ends_are_no_schemes(text):
    with pytest.raises(UnknownName, match="academic"):
        parse_scheme(text)
