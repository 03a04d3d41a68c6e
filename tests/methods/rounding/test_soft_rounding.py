"""Soft weights: their closed forms, what they harden to, and that training makes them settle."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.methods.rounding.soft_rounding import (
    SoftWeight,
    inverse_rectified_sigmoid,
    rectified_sigmoid,
    soft_weight,
    spread_scale,
)
from intaglio.methods.rounding.train_rounding import (
    Training,
    annealed_exponent,
    judged_count,
    train,
    undecidedness,
)
from intaglio.numerics.spec import QuantParams, QuantSpec, per_tensor

SPEC = QuantSpec(bits=4, symmetric=True, axis=0, narrow=True)
GRID = per_tensor(1.0, 0, replace(SPEC, axis=None))


def test_the_rectified_sigmoid_is_half_at_zero_and_reaches_its_ends_at_plus_minus_log_eleven():
    # 1.2 / (1 + e^-V) - 0.1 = 1 at e^-V = 1 / 11
    end = math.log(11.0)
    logits = torch.tensor([-20.0, -end, 0.0, end, 20.0])

    torch.testing.assert_close(rectified_sigmoid(logits), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))


def test_its_gradient_is_that_of_the_stretched_sigmoid_inside_and_zero_outside():
    logits = torch.tensor([-3.0, -1.0, 0.0, 2.0, 3.0], requires_grad=True)

    (found,) = torch.autograd.grad(rectified_sigmoid(logits).sum(), logits)

    s = torch.sigmoid(logits.detach())
    inside = logits.detach().abs() < math.log(11.0)
    torch.testing.assert_close(found, torch.where(inside, 1.2 * s * (1.0 - s), 0.0))


@settings(deadline=None)
@given(st.floats(0.001, 0.999))
def test_the_inverse_undoes_it(share):
    found = rectified_sigmoid(inverse_rectified_sigmoid(torch.tensor(share, dtype=torch.float64)))

    assert float(found) == pytest.approx(share, abs=1e-9)


@pytest.mark.parametrize("exponent", [2.0, 6.0, 20.0])
def test_the_regulariser_is_its_formula_one_undecided_and_zero_decided(exponent):
    shares = torch.tensor([0.0, 0.25, 0.5, 0.9, 1.0], dtype=torch.float64)

    found = undecidedness(inverse_rectified_sigmoid(shares), exponent)

    wanted = 1.0 - (2.0 * shares - 1.0).abs().pow(exponent)
    assert float(found) == pytest.approx(float(wanted.mean()))
    assert float(undecidedness(torch.zeros(4), exponent)) == 1.0
    assert float(undecidedness(torch.tensor([-9.0, 9.0]), exponent)) == 0.0


def test_the_exponent_goes_from_twenty_to_two_by_equal_factors():
    found = [annealed_exponent(progress, 0.2) for progress in (0.0, 0.2, 0.6, 1.0)]

    assert found == pytest.approx([20.0, 20.0, math.sqrt(40.0), 2.0])


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10**6), st.floats(0.05, 0.49), st.booleans())
def test_where_nothing_is_learned_a_soft_weight_hardens_to_the_integers_it_began_with(
    seed, reach, is_far
):
    generator = torch.Generator().manual_seed(seed)
    integers = torch.randint(SPEC.qmin, SPEC.qmax + 1, (3, 40), generator=generator).float()
    real = integers + torch.randn(3, 40, generator=generator) * (2.0 if is_far else 0.3)

    soft = soft_weight(real, integers, GRID, reach=reach)

    assert torch.equal(soft.hard(), integers)
    assert bool(((soft.steps() - integers).abs() <= reach + 1e-5).all())


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10**6))
def test_whatever_is_learned_stays_on_the_grid_and_one_step_from_the_start_on_the_real_side(seed):
    generator = torch.Generator().manual_seed(seed)
    integers = torch.randint(SPEC.qmin, SPEC.qmax + 1, (200,), generator=generator).float()
    real = integers + torch.randn(200, generator=generator)
    soft = soft_weight(real, integers, GRID, reach=0.3)

    learned = SoftWeight(soft.base, torch.randn(200, generator=generator) * 5).hard()

    assert int(learned.min()) >= SPEC.qmin
    assert int(learned.max()) <= SPEC.qmax
    moves = learned - integers
    assert set(moves.tolist()) <= {-1.0, 0.0, 1.0}
    inner = (integers > SPEC.qmin) & (integers < SPEC.qmax)
    assert bool((moves * (real - integers))[inner].ge(0).all())


def test_weights_with_a_zero_point_stay_within_the_ends_of_their_own_row():
    spec = QuantSpec(bits=4, axis=0)
    params = QuantParams(torch.ones(2), torch.tensor([-8, 7], dtype=torch.int32), spec)
    integers = torch.tensor([[0.0, 15.0, 7.0], [-15.0, 0.0, -7.0]])  # ends of the rows, and within
    real = integers + torch.tensor([[-1.0, 1.0, 0.4], [-1.0, 1.0, -0.4]])

    soft = soft_weight(real, integers, params, reach=0.3)

    assert torch.equal(soft.hard(), integers)
    moved = [SoftWeight(soft.base, torch.full((2, 3), one)).hard() for one in (-9.0, 9.0)]
    assert torch.equal(moved[0], torch.tensor([[0.0, 14.0, 7.0], [-15.0, -1.0, -8.0]]))
    assert torch.equal(moved[1], torch.tensor([[1.0, 15.0, 8.0], [-14.0, 0.0, -7.0]]))


def test_a_scale_is_spread_along_its_own_axis():
    scale, zeros = torch.tensor([1.0, 2.0]), torch.zeros(2, dtype=torch.int32)
    later = QuantParams(scale, zeros, QuantSpec(symmetric=True, axis=1))
    whole = QuantParams(scale[0], zeros[0], QuantSpec(symmetric=True))

    assert spread_scale(QuantParams(scale, zeros, SPEC), 4).shape == (2, 1, 1, 1)
    assert spread_scale(later, 4).shape == (1, 2, 1, 1)
    assert spread_scale(whole, 4).shape == ()


def test_training_settles_every_weight_and_finds_the_roundings_that_undo_each_other():
    # eight equal inputs: the sum of the roundings is all that counts, 8 * 0.4 = 3.2; nearest: 1.0
    real, integers = torch.linspace(0.3, 0.5, 8), torch.zeros(8)
    soft = soft_weight(real, integers, GRID, reach=0.45)

    def error():
        return (soft.steps().sum() - 3.2).square() / 3.2**2

    train(Training(400, 0.05, 0.1, 0.2), [soft.logits], [], error)

    shares = rectified_sigmoid(soft.logits)
    assert bool(((shares == 0.0) | (shares == 1.0)).all())
    assert float(soft.hard().sum()) == 3.0
    assert not soft.logits.requires_grad


def test_other_parameters_come_to_rest_where_the_error_is_least():
    place = torch.tensor([5.0, -2.0])

    train(Training(600, 0.1, 1.0, 0.2), [], [place], lambda: (place - 1.0).square().sum())

    torch.testing.assert_close(place, torch.ones(2), atol=1e-2, rtol=0.0)


@pytest.mark.parametrize(
    ("count", "least", "judged"), [(1, 1, 1), (80, 1, 10), (7, 4, 7), (8, 4, 4), (64, 4, 8)]
)
def test_an_eighth_is_judged_and_everything_where_there_is_little(count, least, judged):
    assert judged_count(count, least) == judged
