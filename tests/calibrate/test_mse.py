"""The range of least squared error: closed forms, and no better one nearby."""

from __future__ import annotations

import itertools

import pytest
import torch

from intaglio.calibrate.mse import SquaredError
from intaglio.numerics.affine import fake_quantize, params_from_range
from intaglio.numerics.spec import INT8_ACTIVATION, QuantSpec

INT4 = QuantSpec(bits=4)


def normal(count: int) -> torch.Tensor:
    """Return quantiles of the normal distribution: a sample without chance."""
    shares = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return torch.special.ndtri(shares).float().reshape(-1, 1000)


def found(values: torch.Tensor, spec: QuantSpec) -> tuple[float, float]:
    calibrator = SquaredError(spec)
    calibrator.observe(values)
    low, high = calibrator.range()
    return low.item(), high.item()


def error(values: torch.Tensor, low: float, high: float, spec: QuantSpec) -> float:
    grid = params_from_range(torch.tensor(low), torch.tensor(high), spec)
    return float((fake_quantize(values, grid) - values).square().double().mean())


@pytest.mark.parametrize(("bits", "clip", "within"), [(4, 2.475, 0.02), (8, 3.92, 0.15)])
def test_a_normal_distribution_is_clipped_where_theory_says(bits, clip, within):
    spec = QuantSpec(bits=bits, symmetric=True, narrow=True)

    low, high = found(normal(10**6), spec)

    assert high == pytest.approx(clip, abs=within)
    assert low == pytest.approx(-high, abs=1e-6)


@pytest.mark.parametrize("spec", [INT4, INT8_ACTIVATION, QuantSpec(bits=3, signed=False)])
@pytest.mark.parametrize("shape", ["normal", "relu", "shifted", "skewed", "relu6"])
def test_no_range_on_a_grid_of_ranges_is_better(spec, shape):
    x = normal(50_000)
    values = {
        "normal": x,
        "relu": x.relu(),
        "shifted": x + 1.0,
        "skewed": (x * 0.7).exp() - 0.5,
        "relu6": (x * 4).clamp(0.0, 6.0),
    }[shape]

    best = error(values, *found(values, spec), spec)

    lows = torch.linspace(float(values.min()), 0.0, 12).tolist()
    highs = torch.linspace(float(values.max()), 0.0, 24).tolist()
    tried = [error(values, low, high, spec) for low, high in itertools.product(lows, highs)]
    # the histogram's bins are a small part of a step
    assert best <= min(tried) * 1.01


def test_values_that_the_grid_holds_exactly_are_not_clipped():
    values = torch.arange(16.0).repeat(10).reshape(10, 16)

    low, high = found(values, QuantSpec(bits=4))

    assert error(values, low, high, QuantSpec(bits=4)) < 1e-3
    assert (low, high) == pytest.approx((0.0, 15.0), abs=0.05)


def test_one_outlier_is_given_up_for_many_values():
    values = normal(100_000)
    values[0, 0] = 50.0

    low, high = found(values, INT4)

    assert high < 10.0
    assert error(values, low, high, INT4) < error(values, low, 50.0, INT4) / 5


def test_a_grid_finer_than_the_histogram_keeps_the_full_range():
    values = normal(10_000)

    assert found(values, QuantSpec(bits=16)) == (values.min(), values.max())
