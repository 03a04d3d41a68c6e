"""Schemes of papers are computed as their formulas say: a second computation in plain PyTorch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import intaglio
from intaglio.errors import RequestError
from intaglio.job.quantize import prepare_network, quantize_network
from intaglio.job.recorder import Recorder
from intaglio.numerics.affine import fake_quantize
from intaglio.read.module.export import capture
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import find_recipe
from intaglio.recipe.settings import settle
from intaglio.run.fake import Deployment, trainable
from intaglio.run.twin import build_twin
from intaglio.runtimes import SIMULATION


class Two(nn.Module):
    """Two convolutions, a ReLU between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return two maps."""
        return self.second(torch.relu(self.first(x)))


def compressed(scheme: str, images: Tensor) -> tuple[nn.Module, intaglio.Result]:
    torch.manual_seed(0)
    module = Two().eval()
    result = intaglio.compress(
        module, images[:1], data=images, recipe="plain", options=Options(scheme=scheme)
    )
    return module, result


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_twin_is_the_formula(bits):
    images = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    module, result = compressed(f"w{bits}a{bits}-academic", images)
    graph, encodings = result.twin.graph, result.twin.encodings
    first, second = encodings.weights
    (behind,) = encodings.activations

    weight = fake_quantize(module.first.weight.detach(), encodings.weights[first])
    inner = F.conv2d(images, weight, module.first.bias, padding=1).relu()
    inner = fake_quantize(inner, encodings.activations[behind])
    weight = fake_quantize(module.second.weight.detach(), encodings.weights[second])
    expected = F.conv2d(inner, weight, module.second.bias)

    # orders of summing differ: float32 sums of some 30 products
    torch.testing.assert_close(result.twin(images), expected.detach(), rtol=1e-5, atol=1e-5)
    assert graph[behind].op == "conv2d"


def test_there_is_no_file_and_the_report_says_so():
    _, result = compressed("w4a4-academic", torch.randn(4, 3, 6, 6))

    assert result.files == {}
    assert result.report.target == "simulation"
    assert result.report.verdict.bits == "no file"
    with pytest.raises(RequestError, match="no file"):
        SIMULATION.open({})


def test_evaluating_changes_nothing():
    images = torch.randn(8, 3, 6, 6)
    _, result = compressed("w4a4-academic", images)
    before = {name: value.clone() for name, value in result.twin.graph.params.items()}
    grids = {name: grid.scale.clone() for name, grid in result.twin.encodings.activations.items()}

    first = result.twin(images * 3.0)

    assert torch.equal(first, result.twin(images * 3.0))
    assert all(torch.equal(value, before[name]) for name, value in result.twin.graph.params.items())
    for name, scale in grids.items():
        assert torch.equal(result.twin.encodings.activations[name].scale, scale)


@pytest.mark.parametrize("method", ["lsq", "lsq+", "pact", "moving-average", "held"])
def test_what_trains_is_the_twin_before_and_after_a_step_whose_rows_have_zero_points(method):
    torch.manual_seed(0)
    images = torch.randn(8, 3, 6, 6)
    module = Two().eval()
    with torch.no_grad():
        module.first.weight += 0.1  # rows that lie unevenly about zero
    asked = settle(find_recipe("plain"), None, Options(scheme="w4a4-academic"))
    prepared, asked = prepare_network(capture(module, images[:1]), asked, Recorder())
    state = quantize_network(prepared, asked, images, Recorder(), device="cpu").state
    assert any(bool(grid.zero_point.any()) for grid in state.encodings.weights.values())
    deployment = Deployment(state.plan, state.encodings, asked.target)
    student = trainable(state.graph, prepared.current_norms(), deployment, method=method)
    student.freeze_norms()

    for _ in range(2):
        student.train(False)
        twin = build_twin(*student.read_out(), asked.target)
        with torch.no_grad():
            torch.testing.assert_close(student(images)[0], twin(images), rtol=1e-5, atol=1e-5)
        student.train()
        student(images)[0].square().mean().backward()
        torch.optim.SGD(student.parameters(), lr=0.01).step()
