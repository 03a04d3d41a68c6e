"""Percentiles: which share is clipped, at which end."""

from __future__ import annotations

import pytest
import torch

from intaglio.calibrate import CALIBRATORS
from intaglio.calibrate.percentile import KEPT, Percentile
from intaglio.numerics.spec import INT8_ACTIVATION, INT8_WEIGHT_PER_TENSOR

VALUES = torch.randn(2000, 1000, generator=torch.Generator().manual_seed(0))


def clipped(values: torch.Tensor, keep: float, spec=INT8_ACTIVATION) -> tuple[float, float]:
    """Return the shares of the values below and above the range."""
    calibrator = Percentile(spec, keep)
    for batch in values.split(100):
        calibrator.observe(batch)
    low, high = calibrator.range()
    return (values < low).double().mean().item(), (values > high).double().mean().item()


@pytest.mark.parametrize("keep", KEPT)
def test_values_of_both_signs_lose_half_of_the_share_at_each_end(keep):
    tail = (1 - keep / 100) / 2

    # counts in the bin that is cut are interpolated
    assert clipped(VALUES, keep) == pytest.approx((tail, tail), rel=0.05, abs=2e-6)


@pytest.mark.parametrize("keep", KEPT)
def test_values_of_one_sign_lose_all_of_it_at_the_far_end(keep):
    tail = 1 - keep / 100

    assert clipped(VALUES.abs(), keep) == pytest.approx((0.0, tail), rel=0.05, abs=2e-6)
    assert clipped(-VALUES.abs(), keep) == pytest.approx((tail, 0.0), rel=0.05, abs=2e-6)


@pytest.mark.parametrize("keep", KEPT)
def test_on_a_symmetric_grid_magnitudes_are_clipped(keep):
    shifted = VALUES + 0.5

    below, above = clipped(shifted, keep, INT8_WEIGHT_PER_TENSOR)

    assert below + above == pytest.approx(1 - keep / 100, rel=0.05, abs=2e-6)
    assert above > below


def test_all_of_them_are_exactly_minimum_and_maximum():
    assert clipped(VALUES, 100.0) == (0.0, 0.0)


def test_quantiles_of_the_normal_distribution_are_found():
    calibrator = CALIBRATORS["percentile-99.9"](INT8_ACTIVATION)
    shares = (torch.arange(10**6, dtype=torch.float64) + 0.5) / 10**6
    calibrator.observe(torch.special.ndtri(shares).float().reshape(-1, 1000))

    low, high = calibrator.range()

    assert (low.item(), high.item()) == pytest.approx((-3.29053, 3.29053), abs=2e-3)


def test_a_single_outlier_among_many_values_is_clipped():
    values = VALUES[:100].clone()
    values[3, 5] = 1e6

    calibrator = Percentile(keep=99.9)
    calibrator.observe(values)

    assert calibrator.range()[1] < 1e3  # within one bin of a histogram that spans a million
