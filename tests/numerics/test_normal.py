"""Moments of clipped normals against closed forms and numerical integration."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import RangeError
from intaglio.numerics.normal import Normal, clipped_mean, clipped_variance

INFINITE = float("inf")


def normal(mean: float, std: float) -> Normal:
    return Normal(*(torch.tensor([x], dtype=torch.float64) for x in (mean, std)))


def by_integration(mean: float, std: float, low: float, high: float) -> tuple[float, float]:
    """Mean and variance of the clamped normal by summing over 20,001 points of 12 deviations."""
    z = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    density = (-0.5 * z * z).exp()
    density /= density.sum()
    y = (mean + std * z).clamp(low, high)
    first = float((y * density).sum())
    return first, float(((y - first).square() * density).sum())


@pytest.mark.parametrize(
    ("mean", "std", "high", "expected"),
    [
        (0.0, 1.0, INFINITE, 0.398942),
        (1.0, 1.0, INFINITE, 1.083315),
        (-1.0, 2.0, INFINITE, 0.395593),
        (5.0, 2.0, 6.0, 4.608415),
    ],
)
def test_the_mean_behind_a_relu_is_the_published_one(mean, std, high, expected):
    assert float(clipped_mean(normal(mean, std), 0.0, high)) == pytest.approx(expected, abs=1e-6)


def test_the_variance_behind_a_relu_is_the_closed_form():
    # half of the density at 0: E[y^2] = 1/2 and E[y] = 1 / sqrt(2 pi)
    found = clipped_variance(normal(0.0, 1.0), 0.0, INFINITE)

    assert float(found) == pytest.approx(0.5 - 1 / (2 * math.pi), rel=1e-14)


@given(st.floats(-20, 20), st.floats(0.01, 10), st.floats(-8, 8), st.floats(0, 10), st.booleans())
def test_moments_are_those_of_numerical_integration(mean, std, low, width, one_sided):
    high = INFINITE if one_sided else low + width

    found = normal(mean, std)
    first, second = by_integration(mean, std, low, high)

    assert float(clipped_mean(found, low, high)) == pytest.approx(first, abs=1e-6 * std)
    assert float(clipped_variance(found, low, high)) == pytest.approx(second, abs=1e-6 * std**2)


@given(st.floats(-1e6, 1e6), st.floats(-100, 100), st.floats(0, 100))
def test_a_constant_is_clamped_exactly(mean, low, width):
    high = low + width

    assert float(clipped_mean(normal(mean, 0.0), low, high)) == min(max(mean, low), high)
    assert float(clipped_variance(normal(mean, 0.0), low, high)) == 0.0


def test_without_bounds_nothing_changes():
    found = normal(1.25, 3.0)

    assert float(clipped_mean(found, -INFINITE, INFINITE)) == 1.25
    assert float(clipped_variance(found, -INFINITE, INFINITE)) == pytest.approx(9.0, rel=1e-15)


@pytest.mark.parametrize("mean", [-1e9, -50.0, 56.0, 1e9])
def test_far_outside_of_the_bounds_nothing_cancels(mean):
    found = normal(mean, 1.0)

    assert float(clipped_mean(found, 0.0, 6.0)) == (0.0 if mean < 0 else 6.0)
    assert float(clipped_variance(found, 0.0, 6.0)) == 0.0


def test_a_tail_of_ten_deviations_keeps_its_digits():
    # Mills: E[max(0, z - 10)] = phi(10) - 10 Q(10), 7.474560254e-25 by 40-digit arithmetic
    found = clipped_mean(normal(-10.0, 1.0), 0.0, INFINITE)

    assert float(found) == pytest.approx(7.474560254e-25, rel=1e-9)


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        (torch.zeros(2).double(), torch.zeros(3).double()),
        (torch.zeros(2), torch.zeros(2)),
        (torch.zeros(2).double(), torch.tensor([0.0, -1.0]).double()),
        (torch.zeros(1).double(), torch.tensor([float("nan")]).double()),
        (torch.zeros(()).double(), torch.zeros(()).double()),
    ],
)
def test_moments_that_make_no_sense_are_refused(mean, std):
    with pytest.raises(RangeError):
        Normal(mean, std)


def test_bounds_are_so_many_deviations_away():
    found = normal(1.0, 0.5)

    assert float(found.upper(6.0)) == 4.0
    assert float(found.lower(6.0)) == -2.0
