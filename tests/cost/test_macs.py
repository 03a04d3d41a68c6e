"""Counts against the papers' figures and against torch's own counter."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from architectures import captured_zoo
from intaglio.cost.macs import count_macs, count_params, total_params
from intaglio.passes.canonicalize import canonicalize
from intaglio.read.module.export import capture


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "params", "millions"),
    [
        ("mobilenet_v1", 4_231_976, 568.74),
        ("mobilenet_v2", 3_504_872, 300.77),
        ("mobilenet_v3_small", 2_542_856, 56.51),
    ],
)
def test_networks_have_the_counts_that_their_papers_state(name, params, millions):
    graph = captured_zoo(name)

    assert total_params(graph) == params
    assert round(sum(count_macs(graph).values()) / 1e6, 2) == millions


class Mixture(nn.Module):
    """Every op that multiplies: strided, grouped, dilated, transposed; linear on three axes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 2, 1)
        self.grouped = nn.Conv2d(8, 12, (3, 1), groups=4, dilation=2, bias=False)
        self.up = nn.ConvTranspose2d(12, 6, 3, 2, groups=3)
        self.head = nn.Linear(11, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.up(self.grouped(self.first(x)).relu()).mean(2))


def test_macs_are_half_of_the_operations_that_torch_counts():
    module, image = Mixture(), torch.zeros(1, 3, 16, 10)
    graph = capture(module, image)
    with FlopCounterMode(display=False) as counter:
        module(image)

    assert 2 * sum(count_macs(graph).values()) == counter.get_total_flops()


def test_ops_without_weights_cost_no_macs():
    graph = capture(nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)), torch.zeros(1, 3, 8, 8))

    assert set(count_macs(graph).values()) == {0}


def test_batch_norm_statistics_are_not_counted_as_parameters():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    graph = capture(module, torch.zeros(1, 3, 8, 8))

    assert total_params(graph) == sum(weight.numel() for weight in module.parameters())

    canonicalize(graph)
    assert total_params(graph) == 3 * 4 + 4  # folded: the convolution's weight and bias are left


class Reused(nn.Module):
    """One convolution, run twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.conv(x).relu())


def test_a_shared_weight_is_listed_twice_and_counted_once():
    graph = capture(Reused(), torch.zeros(1, 3, 8, 8))

    assert sum(count_params(graph).values()) == 2 * 12
    assert total_params(graph) == 12
    assert sum(count_macs(graph).values()) == 2 * 9 * 64
