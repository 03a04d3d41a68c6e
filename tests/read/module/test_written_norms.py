"""Batch norms in a module's own words are batch norms; what only looks like one is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from detectors.torchvision_style.layers import FrozenBatchNorm2d
from intaglio.ir.graph import Graph
from intaglio.passes.canonicalize import canonicalize
from intaglio.passes.folded_norms import folded_norms
from intaglio.read import graph_of_program
from intaglio.read.module.export import capture
from intaglio.read.program.saved_program import load_program
from intaglio.run.float import run_float

EPS = 1e-3
C = 4
IMAGES = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))
Formula = Callable[["Written", Tensor], Tensor]


class Written(nn.Module):
    """A norm of four buffers, whose forward is a formula."""

    def __init__(self, formula: Formula, shape: tuple[int, ...] = (C,)) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.formula = formula
        for name in ("gamma", "beta", "mean"):
            self.register_buffer(name, torch.randn(shape, generator=generator))
        self.register_buffer("var", torch.rand(shape, generator=generator) + 0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the formula makes."""
        return self.formula(self, x)


def wide(values: Tensor) -> Tensor:
    """Return [C] as [1, C, 1, 1]."""
    return values.reshape(1, -1, 1, 1)


def as_torchvision(m: Written, x: Tensor) -> Tensor:
    scale = wide(m.gamma) * (wide(m.var) + EPS).rsqrt()
    return x * scale + (wide(m.beta) - wide(m.mean) * scale)


def reshaped_last(m: Written, x: Tensor) -> Tensor:
    scale = m.gamma * m.var.add(EPS).rsqrt()
    shift = m.beta - m.mean * scale
    return wide(shift) + wide(scale) * x


def with_views(m: Written, x: Tensor) -> Tensor:
    scale = (m.gamma / torch.sqrt(EPS + m.var))[:, None, None]
    return scale * x + (m.beta[:, None, None] - scale * m.mean.view(-1, 1, 1))


def by_a_power(m: Written, x: Tensor) -> Tensor:
    scale = m.gamma * (m.var + EPS) ** -0.5
    return x * wide(scale) + wide(m.beta - m.mean * scale)


def by_a_reciprocal(m: Written, x: Tensor) -> Tensor:
    scale = 1 / (m.var + EPS).sqrt() * m.gamma
    return x * wide(scale) + wide(m.beta - scale * m.mean)


def centered(m: Written, x: Tensor) -> Tensor:
    return (x - wide(m.mean)) / torch.sqrt(wide(m.var) + EPS) * wide(m.gamma) + wide(m.beta)


def centered_otherwise(m: Written, x: Tensor) -> Tensor:
    scale = wide(m.gamma * (m.var + EPS).rsqrt())
    return wide(m.beta) + scale * (x - wide(m.mean))


def mean_apart(m: Written, x: Tensor) -> Tensor:
    root = (m.var + EPS).sqrt()
    return x * wide(m.gamma / root) + wide(m.beta - m.mean * m.gamma / root)


SPELLINGS: tuple[Formula, ...] = (
    *(as_torchvision, reshaped_last, with_views, by_a_power, by_a_reciprocal, centered),
    *(centered_otherwise, mean_apart),
)


def behind_a_layer(norm: nn.Module) -> nn.Sequential:
    """Return a network of a convolution, the norm, and a ReLU."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, C, 3, bias=False), norm, nn.ReLU()).eval()


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph if node.op != "constant"]


def assert_same(graph: Graph, network: nn.Module) -> None:
    with torch.no_grad():
        wanted = network(IMAGES.clone())
    # Products of three float32 numbers, in another order: a few times 2**-24 of numbers below 10.
    torch.testing.assert_close(run_float(graph, IMAGES)[0], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("formula", SPELLINGS, ids=lambda formula: formula.__name__)
def test_each_spelling_is_one_batch_norm_under_the_users_names(formula):
    network = behind_a_layer(Written(formula))

    graph = capture(network, IMAGES[:1])

    assert ops(graph) == ["input", "conv2d", "batch_norm", "clamp"]
    (norm,) = (node for node in graph if node.op == "batch_norm")
    roles = {"weight": "gamma", "bias": "beta", "mean": "mean", "var": "var"}
    assert norm.params == {role: f"1.{name}" for role, name in roles.items()}
    assert norm.attrs["eps"] == EPS
    assert norm.source == "1"
    assert_same(graph, network)


@pytest.mark.parametrize(
    ("formula", "roles", "eps"),
    [
        (lambda m, x: x * wide(m.var.rsqrt()) + wide(-(m.mean * m.var.rsqrt())), "mv", 0.0),
        (
            lambda m, x: x * wide(m.var.rsqrt()) + wide(m.beta - m.mean * m.var.rsqrt()),
            "bmv",
            0.0,
        ),
        (
            lambda m, x: (
                x * wide((m.var + EPS).rsqrt()) + wide(m.beta - m.mean / (m.var + EPS).sqrt())
            ),
            "bmv",
            EPS,
        ),
    ],
)
def test_gamma_beta_and_eps_may_be_missing(formula, roles, eps):
    network = behind_a_layer(Written(formula))

    graph = capture(network, IMAGES[:1])

    (norm,) = (node for node in graph if node.op == "batch_norm")
    assert sorted(role[0] for role in norm.params) == sorted(roles)
    assert norm.attrs["eps"] == eps
    assert_same(graph, network)


def test_torchvisions_frozen_norm_gives_a_layer_what_batch_norm2d_gives():
    plain = nn.BatchNorm2d(C, eps=1e-5).eval()
    for value in (plain.weight, plain.bias, plain.running_mean):
        value.data.normal_()
    plain.running_var.uniform_(0.3, 2.0)
    frozen = FrozenBatchNorm2d(C)
    frozen.load_state_dict({k: v for k, v in plain.state_dict().items() if "num" not in k})
    made = []
    for norm in (plain, frozen):
        captured = capture(behind_a_layer(norm), IMAGES[:1])
        canonical = captured.copy()
        canonicalize(canonical)
        made.append((canonical, folded_norms(captured, canonical, canonical)["0"]))

    (one, of_one), (other, of_other) = made

    assert one.params.keys() == other.params.keys()
    assert all(torch.equal(value, other.params[key]) for key, value in one.params.items())
    assert of_one.names == of_other.names
    assert torch.equal(of_one.normal().mean, of_other.normal().mean)
    assert torch.equal(of_one.normal().std, of_other.normal().std)


def test_a_saved_program_has_its_written_norms_too(tmp_path: Path):
    network = behind_a_layer(Written(as_torchvision))
    torch.export.save(torch.export.export(network, (IMAGES,)), tmp_path / "net.pt2")

    graph = graph_of_program(load_program(tmp_path / "net.pt2"))

    assert ops(graph) == ["input", "conv2d", "batch_norm", "clamp"]
    assert_same(graph, network)


def test_rows_of_two_axes_have_norms_too():
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, C), Written(unshaped)).eval()

    graph = capture(network, IMAGES[:1])

    assert ops(graph)[-1] == "batch_norm"
    assert_same(graph, network)


def unshaped(m: Written, x: Tensor) -> Tensor:
    scale = m.gamma * (m.var + EPS).rsqrt()
    return x * scale + (m.beta - m.mean * scale)


def other_scale(m: Written, x: Tensor) -> Tensor:
    """The mean is taken off in another unit."""
    scale = m.gamma * (m.var + EPS).rsqrt()
    return x * wide(scale) + wide(m.beta - m.mean * m.gamma)


def other_eps(m: Written, x: Tensor) -> Tensor:
    scale = m.gamma * (m.var + EPS).rsqrt()
    return x * wide(scale) + wide(m.beta - m.mean * m.gamma * (m.var + 0.1).rsqrt())


def sum_of_mean(m: Written, x: Tensor) -> Tensor:
    scale = m.gamma * (m.var + EPS).rsqrt()
    return x * wide(scale) + wide(m.beta + m.mean * scale)


def no_root(m: Written, x: Tensor) -> Tensor:
    scale = m.gamma * m.var
    return x * wide(scale) + wide(m.beta - m.mean * scale)


def twice_gamma(m: Written, x: Tensor) -> Tensor:
    scale = m.gamma * m.gamma * (m.var + EPS).rsqrt()
    return x * wide(scale) + wide(m.beta - m.mean * scale)


def scaled_sum(m: Written, x: Tensor) -> Tensor:
    scale = m.gamma * (m.var + EPS).rsqrt()
    return torch.add(x * wide(scale), wide(m.beta - m.mean * scale), alpha=2)


def scaled_difference(m: Written, x: Tensor) -> Tensor:
    scale = m.gamma * (m.var + EPS).rsqrt()
    return x * wide(scale) + wide(torch.sub(m.beta, m.mean * scale, alpha=2))


def along_the_width(m: Written, x: Tensor) -> Tensor:
    scale = m.gamma * (m.var + EPS).rsqrt()
    return x[..., :C] * scale + (m.beta - m.mean * scale)


@pytest.mark.parametrize(
    "formula",
    [
        *(other_scale, other_eps, sum_of_mean, no_root, twice_gamma, scaled_sum),
        *(scaled_difference, along_the_width),
    ],
    ids=lambda formula: formula.__name__,
)
def test_what_is_no_norm_stays_what_it_is(formula):
    network = behind_a_layer(Written(formula))

    graph = capture(network, IMAGES[:1])

    assert "batch_norm" not in ops(graph)
    assert_same(graph, network)


def test_a_product_that_is_read_elsewhere_stays():
    def formula(m: Written, x: Tensor) -> Tensor:
        scale = m.gamma * (m.var + EPS).rsqrt()
        product = x * wide(scale)
        return (product + wide(m.beta - m.mean * scale)) * product

    network = behind_a_layer(Written(formula))

    assert "batch_norm" not in ops(capture(network, IMAGES[:1]))


def test_a_value_that_is_written_over_later_was_read_before():
    def formula(m: Written, x: Tensor) -> Tensor:
        scale = wide(m.gamma * (m.var + EPS).rsqrt())
        product = x * scale
        x += 100.0
        return product + (wide(m.beta) - wide(m.mean) * scale) + x

    network = behind_a_layer(Written(formula))

    assert_same(capture(network, IMAGES[:1]), network)


@pytest.mark.parametrize("shape", [(1, C, 1, 1), (1,)])
def test_numbers_that_are_not_stored_by_channel_stay_constants_and_fold(shape):
    network = behind_a_layer(Written(unshaped, shape))

    graph = capture(network, IMAGES[:1])

    assert "batch_norm" not in ops(graph)
    canonicalize(graph)
    assert ops(graph)[:2] == ["input", "conv2d"]
    assert_same(graph, network)
