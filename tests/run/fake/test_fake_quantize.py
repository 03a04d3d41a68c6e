"""Values on a grid, and gradients held against autograd's own of the same formulas in float64."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from intaglio.numerics.affine import fake_quantize as stored_on_grid
from intaglio.numerics.spec import QuantSpec, per_tensor
from intaglio.run.fake.fake_quantize import Edges, Scratch, fake_quantize
from intaglio.run.fake.ranges import edges_of

BITS = st.sampled_from([3, 4, 8])


def surrogate(x: Tensor, step: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return what has the gradients of the formulas: a rounding that is a constant shift."""
    steps = x / step
    rounded = (steps + (steps.round() - steps).detach()) * step
    return torch.where(x <= low, low, torch.where(x >= high, high, rounded))


def values_of(seed: int, step: float, reach: int, shape: tuple[int, ...] = (3, 2, 5, 4)) -> Tensor:
    """Return values up to `reach` steps from zero, none of them near a tie."""
    generator = torch.Generator().manual_seed(seed)
    whole = torch.randint(-reach, reach + 1, shape, generator=generator)
    part = (torch.rand(shape, generator=generator) - 0.5) * 0.8
    return (whole + part) * step


def gradients(made: Tensor, weights: Tensor, learned: list[Tensor]) -> list[Tensor]:
    """Return the gradients of a weighted sum."""
    return list(torch.autograd.grad((made * weights.to(made.dtype)).sum(), learned))


def leaves(*numbers: float, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Return numbers that learn."""
    return [torch.tensor(one, dtype=dtype, requires_grad=True) for one in numbers]


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10**6),
    st.floats(0.01, 3.0),
    st.integers(-9, 0),
    st.integers(1, 9),
    st.booleans(),
)
def test_gradients_of_values_step_and_both_ends_are_those_of_the_formulas(
    seed, size, lowest, highest, is_last
):
    size = float(torch.tensor(size))
    x = values_of(seed, size, 14)
    x = x.contiguous(memory_format=torch.channels_last) if is_last else x
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed + 1))
    ends = size * lowest, size * highest
    ours, theirs = leaves(size, *ends), leaves(size, *ends, dtype=torch.float64)
    x32, x64 = x.clone().requires_grad_(), x.double().requires_grad_()

    made = fake_quantize(x32, Edges(*ours), Scratch())
    found = gradients(made, weights, [x32, *ours])

    wanted = gradients(surrogate(x64, *theirs), weights, [x64, *theirs])
    assert torch.equal(found[0].double(), wanted[0])
    for one, other in zip(found[1:], wanted[1:], strict=True):
        # sums of 120 float32 products of about ten steps each
        assert float(one) == pytest.approx(float(other), rel=1e-4, abs=1e-3)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.floats(0.01, 3.0), st.integers(0, 15))
def test_a_step_that_its_ends_follow_gets_the_gradient_of_all_three(seed, size, zero):
    used = per_tensor(size, zero, QuantSpec(bits=4, signed=False))
    x = values_of(seed, float(used.step), 20)
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed + 1))
    (step,), (exact,) = leaves(float(used.step)), leaves(float(used.step), dtype=torch.float64)

    made = fake_quantize(x, edges_of(used, step), Scratch())
    (found,) = gradients(made, weights, [step])

    ends = exact * (0 - zero), exact * (15 - zero)
    (wanted,) = gradients(surrogate(x.double(), exact, *ends), weights, [exact])
    assert float(found) == pytest.approx(float(wanted), rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("clamp", [(0.0, math.inf), (0.0, 6.0), (-0.7, 2.33), (-math.inf, 0.5)])
@pytest.mark.parametrize("follows", [True, False])
def test_where_a_clamp_is_nearer_its_end_gets_no_gradient(clamp, follows):
    used = per_tensor(0.3, 5, QuantSpec(bits=4, signed=False))  # from -1.5 to 3
    x = values_of(0, float(used.step), 20)
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    (step,), (exact,) = leaves(float(used.step)), leaves(float(used.step), dtype=torch.float64)
    edges = edges_of(used, step) if follows else Edges(step, step * -5, step * 10)

    made = fake_quantize(x, edges.within(clamp), Scratch())
    (found,) = gradients(made, weights, [step])

    low, high = (torch.tensor(end, dtype=torch.float64) for end in clamp)
    low, high = torch.maximum(low, exact * -5), torch.minimum(high, exact * 10)
    wanted_made = surrogate(x.double(), exact, low, high)
    (wanted,) = gradients(wanted_made, weights, [exact])
    assert float((made - wanted_made).detach().abs().max()) <= 0.15  # the ends are rounded as well
    assert float(found) == pytest.approx(float(wanted), rel=1e-4, abs=1e-3)


def test_a_clamp_that_ends_with_the_grid_gets_the_gradient_in_its_place():
    (step, low, high) = leaves(0.25, 0.0, 1.75)

    edges = Edges(step, low, high).within((0.0, 1.75))

    assert not edges.low.requires_grad
    assert not edges.high.requires_grad


def test_what_nobody_asks_a_gradient_of_gets_none():
    x = torch.randn(3, 4, requires_grad=True)
    step, low, high = leaves(0.25, -1.0, 1.0)
    low.requires_grad_(False)

    fake_quantize(x, Edges(step, low, high), Scratch()).sum().backward()

    assert low.grad is None
    assert step.grad is not None
    assert high.grad is not None


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), BITS, st.floats(0.003, 4.0), st.floats(0.0, 1.0))
def test_values_are_those_of_the_stored_grid_and_stay_where_they_are(seed, bits, size, share):
    spec = QuantSpec(bits=bits)
    used = per_tensor(size, round(spec.qmin + share * (spec.qmax - spec.qmin)), spec)
    x = values_of(seed, float(used.step), 2**bits + 3)

    once = fake_quantize(x, edges_of(used, used.scale), Scratch())
    twice = fake_quantize(once, edges_of(used, used.scale), Scratch())

    assert torch.equal(once, stored_on_grid(x, used))
    assert torch.equal(twice, once)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.floats(0.003, 1.0), st.floats(-3.0, 0.0), st.floats(0.0, 3.0))
def test_a_fused_clamp_binds_up_to_the_next_step(seed, size, low, high):
    used = per_tensor(size, 3)
    x = values_of(seed, float(used.step), 200)

    made = fake_quantize(x, edges_of(used, used.scale).within((low, high)), Scratch())

    assert float(made.min()) >= low - 0.5001 * size
    assert float(made.max()) <= high + 0.5001 * size
    assert torch.equal(made, stored_on_grid(made, used))


def test_what_an_integer_kernel_made_takes_the_place_of_the_values_and_has_their_gradients():
    used = per_tensor(0.5, 0)
    x = torch.tensor([0.4, 70.0, -1.2], requires_grad=True)
    exact = torch.tensor([0.0, 63.5, -1.0])  # the first is rounded as the device does it

    made = fake_quantize(x, edges_of(used, used.scale), Scratch(), exact)
    made.sum().backward()

    assert torch.equal(made, exact)
    assert x.grad.tolist() == [1.0, 0.0, 1.0]


def test_layers_of_several_sizes_and_layouts_share_their_buffers():
    scratch = Scratch()
    used = per_tensor(0.5, 3)
    (step,), (alone,) = leaves(0.5), leaves(0.5)
    shapes = [(2, 3, 4, 5), (6,), (2, 8, 4, 4), (1, 1)]
    values = [values_of(seed, 0.5, 150, shape) for seed, shape in enumerate(shapes)]
    values[2] = values[2].contiguous(memory_format=torch.channels_last)

    sum(fake_quantize(x, edges_of(used, step), scratch).sum() for x in values).backward()
    for x in values:
        fake_quantize(x, edges_of(used, alone), Scratch()).sum().backward()

    torch.testing.assert_close(step.grad, alone.grad)
