"""The loss of batch norms: zero where a batch is as they state, in units that fit every layer."""

from __future__ import annotations

import pytest
import torch

from intaglio.methods.datafree.norm_loss import NormLoss, moments
from intaglio.numerics.batch_norm import BatchNorm
from intaglio.numerics.normal import Normal


def drawn(mean, std, count=6, seed=0):
    """Return values [count, C, 3, 3] whose moments are exactly these."""
    values = torch.randn(count, len(mean), 3, 3, generator=torch.Generator().manual_seed(seed))
    found_std, found_mean = torch.std_mean(values, (0, 2, 3), keepdim=True, correction=0)
    shape = (1, -1, 1, 1)
    return (values - found_mean) / found_std * std.reshape(shape) + mean.reshape(shape)


def test_moments_are_mean_and_biased_variance_with_their_gradients():
    values = torch.randn(4, 3, 5, 2, dtype=torch.float64, requires_grad=True)

    mean, variance = moments(values)

    assert torch.allclose(mean, values.mean((0, 2, 3)))
    assert torch.allclose(variance, values.var((0, 2, 3), correction=0))
    assert torch.autograd.gradcheck(moments, values)


def test_a_constant_channel_has_no_variance_and_a_finite_gradient():
    values = torch.full((2, 1, 3, 3), 2.0, requires_grad=True)

    mean, variance = moments(values)
    (mean + variance).sum().backward()

    assert (mean.item(), variance.item()) == (2.0, 0.0)
    assert values.grad.isfinite().all()


@pytest.mark.parametrize("moment", ["std", "var"])
@pytest.mark.parametrize("units", ["stated", "raw"])
def test_a_batch_with_the_stated_statistics_costs_nothing(units, moment):
    mean, std = torch.tensor([0.5, -1.0]), torch.tensor([0.2, 3.0])
    norm = BatchNorm(std, mean, torch.zeros(2), torch.full((2,), 4.0), 0.0, None, {})
    loss = NormLoss({"a": Normal(mean.double(), std.double())}, {"a": norm}, units=units,
                    moment=moment)  # fmt: skip

    assert float(loss({"a": drawn(mean, std)})) < 1e-9


def test_differences_are_counted_in_the_units_of_the_stated_deviation():
    mean, std = torch.tensor([0.0, 0.0]), torch.tensor([0.5, 0.5])
    loss = NormLoss({"a": Normal(mean.double(), std.double())}, {}, moment="std")

    found = loss({"a": drawn(mean + torch.tensor([1.0, 0.0]), std * torch.tensor([1.0, 3.0]))})

    assert float(found) == pytest.approx((2.0**2 + 2.0**2) / 2, rel=1e-4)


def test_raw_differences_are_those_in_front_of_the_norm():
    gamma, var, mean = torch.tensor([0.5]), torch.tensor([16.0]), torch.tensor([3.0])
    norm = BatchNorm(gamma, torch.tensor([0.1]), mean, var, 0.0, None, {})
    loss = NormLoss({"a": norm.normal()}, {"a": norm}, units="raw")
    before = drawn(mean + 2.0, torch.tensor([5.0]))  # what the norm would take

    found = loss({"a": (before - 3.0) * gamma / 4.0 + 0.1})

    assert float(found) == pytest.approx(2.0**2 + (25.0 - 16.0) ** 2, rel=1e-4)


def test_channels_without_a_deviation_are_left_out():
    normal = Normal(torch.tensor([0.0, 7.0]).double(), torch.tensor([1.0, 0.0]).double())
    loss = NormLoss({"a": normal, "dead": Normal(normal.mean, normal.std * 0.0)}, {})
    values = drawn(torch.zeros(2), torch.ones(2))

    assert loss.layers == ["a"]
    assert float(loss({"a": values})) < 1e-9


def test_layers_count_alike_however_many_channels_they_have():
    one, four = (Normal(torch.zeros(n).double(), torch.ones(n).double()) for n in (1, 4))
    loss = NormLoss({"one": one, "four": four}, {})

    found = loss({
        "one": drawn(torch.ones(1), torch.ones(1)),
        "four": drawn(torch.ones(4) * 3.0, torch.ones(4)),
    })  # fmt: skip

    assert float(found) == pytest.approx((1.0 + 9.0) / 2, rel=1e-4)
