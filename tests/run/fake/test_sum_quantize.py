"""A sum and its grid as one function: equal to the two in a row."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from intaglio.run.fake.fake_quantize import Scratch, fake_quantize
from intaglio.run.fake.sum_quantize import can_be_one, sum_quantize
from run.fake.deployed import edges_of_kind, of_module

STEP = 0.07


def learned(shape: tuple[int, ...], *, is_last: bool) -> list[Tensor]:
    """Return a, b and a step, all of which ask for gradients."""
    generator = torch.Generator().manual_seed(len(shape))
    a, b = (torch.randn(shape, generator=generator) * 2.0 for _ in range(2))
    if is_last:
        a, b = (one.contiguous(memory_format=torch.channels_last) for one in (a, b))
    return [one.requires_grad_() for one in (a, b, torch.tensor(STEP))]


@pytest.mark.parametrize("kind", ["follow", "own", "clamp"])
@pytest.mark.parametrize(
    ("shape", "is_last"), [((4, 3, 6, 5), False), ((4, 3, 6, 5), True), ((9, 3), False)]
)
@pytest.mark.parametrize("is_exact", [False, True])
def test_values_and_all_gradients_are_those_of_the_two_in_a_row(shape, is_last, kind, is_exact):
    ours, theirs = learned(shape, is_last=is_last), learned(shape, is_last=is_last)
    weights = torch.randn(shape, generator=torch.Generator().manual_seed(7))
    exact = (ours[0] + ours[1]).detach().mul_(4.0).round_().div_(4.0) if is_exact else None

    a, b, step = ours
    made = sum_quantize((a, b), edges_of_kind(step, kind), Scratch(), exact)
    found = torch.autograd.grad((made * weights).sum(), ours)

    a, b, step = theirs
    wanted_made = fake_quantize(a + b, edges_of_kind(step, kind), Scratch(), exact)
    wanted = torch.autograd.grad((wanted_made * weights).sum(), theirs)
    assert torch.equal(made, wanted_made)
    for ours_, theirs_ in zip(found, wanted, strict=True):
        assert torch.equal(ours_, theirs_)


def test_values_that_lie_differently_or_are_spread_are_not_added_as_one():
    value = torch.zeros(2, 3, 4, 5)

    assert can_be_one(value, value + 1.0)
    assert not can_be_one(value, value.contiguous(memory_format=torch.channels_last))
    assert not can_be_one(value, torch.zeros(2, 3, 1, 1))
    assert not can_be_one(value.double(), value.double())
    assert not can_be_one(value.transpose(1, 2), value.transpose(1, 2))


class Residual(nn.Module):
    """A convolution around which its input goes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.conv(x))


def test_a_network_keeps_what_was_added_and_not_the_sum():
    torch.manual_seed(0)
    images = torch.randn(2, 3, 6, 5)
    network = of_module(Residual().eval(), images).trainable("lsq").train()
    kept: list[Tensor] = []

    def keep(value: Tensor) -> Tensor:
        kept.append(value.detach().clone())
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        (output,) = network(images)

    values = [value for value in kept if value.shape == images.shape]
    assert any(torch.equal(value, output) for value in values)
    sums = [a + b for a, b in itertools.combinations(values, 2)]
    assert not any(torch.equal(value, total) for value in values for total in sums)
