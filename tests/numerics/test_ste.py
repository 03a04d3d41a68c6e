"""Rounding with a gradient: its values are rounding's, its gradients those of LSQ's formulas."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.numerics.ste import snap


def by_detaching(values, step, low, high):
    """The same function from autograd's own parts: a rounding that is a constant shift."""
    steps = (values / step).clamp(low, high)
    return (steps + (steps.round() - steps).detach()) * step


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.floats(0.01, 3.0), st.integers(-8, 0), st.integers(1, 15))
def test_values_and_both_gradients_are_those_of_a_detached_rounding(seed, size, low, high):
    generator = torch.Generator().manual_seed(seed)
    values = (torch.randn(40, generator=generator) * 5).requires_grad_()
    weights = torch.randn(40, generator=generator)
    step = torch.tensor(size, requires_grad=True)

    found = snap(values, step, low, high)

    wanted = by_detaching(values, step, low, high)
    assert torch.equal(found, wanted)
    ours = torch.autograd.grad((found * weights).sum(), (values, step))
    theirs = torch.autograd.grad((wanted * weights).sum(), (values, step))
    torch.testing.assert_close(ours[0], theirs[0])
    # two sums of 40 float32 terms in different orders
    torch.testing.assert_close(ours[1], theirs[1], rtol=1e-4, atol=1e-3)


def test_the_gradient_of_the_step_is_the_rounding_error_inside_and_the_bound_outside():
    values = torch.tensor([0.3, 0.6, -9.0, 9.0])

    slopes = []
    for value in values:
        step = torch.tensor(1.0, requires_grad=True)
        snap(value, step, -7.0, 7.0).backward()
        slopes.append(float(step.grad))

    assert slopes == pytest.approx([-0.3, 0.4, -7.0, 7.0], abs=1e-6)


def test_a_step_that_asks_for_no_gradient_changes_nothing_for_the_values():
    values = torch.linspace(-9, 9, 50, requires_grad=True)

    fixed = snap(values, torch.tensor(0.7), -7.0, 7.0)
    free = snap(values, torch.tensor(0.7, requires_grad=True), -7.0, 7.0)

    assert torch.equal(fixed, free)
    gradients = [torch.autograd.grad(one.sum(), values)[0] for one in (fixed, free)]
    assert torch.equal(*gradients)
    assert set(gradients[0].tolist()) == {0.0, 1.0}


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([0, 1]))
def test_a_step_for_each_channel_gets_its_own_channel_s_gradient(seed, axis):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(4, 3, 2, 2, generator=generator) * 4
    weights = torch.randn(4, 3, 2, 2, generator=generator)
    shape = [1] * 4
    shape[axis] = -1
    steps = torch.rand(values.shape[axis], generator=generator) + 0.1
    steps = steps.reshape(shape).requires_grad_()

    (snap(values, steps, -7.0, 7.0) * weights).sum().backward()

    for channel in range(values.shape[axis]):
        alone = steps.detach().flatten()[channel].clone().requires_grad_()
        rows, factors = (one.select(axis, channel) for one in (values, weights))
        (snap(rows, alone, -7.0, 7.0) * factors).sum().backward()
        torch.testing.assert_close(steps.grad.flatten()[channel], alone.grad, rtol=1e-4, atol=1e-4)
