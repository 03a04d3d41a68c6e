"""Batch norm and its grid as one function: equal to the two in a row."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.run.fake.fake_quantize import Scratch, fake_quantize
from intaglio.run.fake.norm_quantize import Running, norm_quantize
from run.fake.deployed import edges_of_kind

STEP = 2.0**-4
"""A power of two: dividing by it moves no rounding."""


def learned(shape: tuple[int, ...], *, is_last: bool) -> list[Tensor]:
    """Return x, gamma, beta and a step, all of which ask for gradients."""
    generator = torch.Generator().manual_seed(len(shape))
    x = torch.randn(shape, generator=generator) * 2.0 + 0.5
    x = x.contiguous(memory_format=torch.channels_last) if is_last else x
    gamma = torch.tensor([1.3, -0.4, 0.0])
    beta = torch.tensor([0.2, 3.0, -0.6])
    return [one.requires_grad_() for one in (x, gamma, beta, torch.tensor(STEP))]


def running() -> Running:
    """Return statistics of three channels from before."""
    return Running(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([1.0, 2.0, 3.0]), 0.3, 1e-5)


@pytest.mark.parametrize("kind", ["follow", "own", "clamp"])
@pytest.mark.parametrize(
    ("shape", "is_last"), [((4, 3, 6, 5), False), ((4, 3, 6, 5), True), ((9, 3), False)]
)
def test_values_statistics_and_all_gradients_are_those_of_the_two_in_a_row(shape, is_last, kind):
    ours, theirs = learned(shape, is_last=is_last), learned(shape, is_last=is_last)
    weights = torch.randn(shape, generator=torch.Generator().manual_seed(7))
    one, other = running(), running()

    x, gamma, beta, step = ours
    made = norm_quantize(x, gamma, beta, one, edges_of_kind(step, kind), Scratch())
    found = torch.autograd.grad((made * weights).sum(), ours)

    x, gamma, beta, step = theirs
    normalized = F.batch_norm(x, other.mean, other.var, gamma, beta, True, 0.3, 1e-5)
    wanted_made = fake_quantize(normalized, edges_of_kind(step, kind), Scratch())
    wanted = torch.autograd.grad((wanted_made * weights).sum(), theirs)
    assert torch.equal(made, wanted_made)
    assert torch.equal(one.mean, other.mean)
    assert torch.equal(one.var, other.var)
    for name, ours_, theirs_ in zip(("x", "gamma", "beta", "step"), found, wanted, strict=True):
        size = float(theirs_.abs().max())
        # the norm is computed again for the way back, with the variance of its inverse root
        torch.testing.assert_close(ours_, theirs_, rtol=1e-4, atol=1e-4 * size, msg=name)


def test_a_grid_that_learns_nothing_gets_no_gradient():
    x, gamma, beta, _ = learned((4, 3, 6, 5), is_last=False)
    step = torch.tensor(STEP)

    made = norm_quantize(x, gamma, beta, running(), edges_of_kind(step, "follow"), Scratch())
    made.sum().backward()

    assert step.grad is None
    assert gamma.grad is not None
