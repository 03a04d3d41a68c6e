"""Analytic clipping: the published constants, and what the quantizer of the model really costs."""

from __future__ import annotations

import pytest
import torch

from intaglio.calibrate import CALIBRATORS
from intaglio.calibrate.aciq import (
    LIKELIER_LAPLACE,
    Moments,
    gauss_clip,
    gauss_error,
    gauss_width,
    laplace_clip,
    laplace_error,
    laplace_width,
    likelier_width,
)
from intaglio.numerics.spec import INT8_ACTIVATION, INT8_WEIGHT_PER_TENSOR, QuantSpec

BITS = range(1, 10)
LAPLACE = (1.8628, 2.8307, 3.8972, 5.0286, 6.2048, 7.4131, 8.6456, 9.8968, 11.1627)
LAPLACE_OVER_STD = (1.3172, 2.0016, 2.7558, 3.5558, 4.3874, 5.2419, 6.1134, 6.9981)
GAUSS = (1.2399, 1.7106, 2.1516, 2.5591, 2.9362, 3.2869, 3.6151, 3.9240, 4.2163)
SHARES = (torch.arange(10**6, dtype=torch.float64) + 0.5) / 10**6
SAMPLES = {
    "gauss": torch.special.ndtri(SHARES),
    "laplace": -(SHARES - 0.5).sign() * torch.log1p(-2 * (SHARES - 0.5).abs()),
}
"""Quantiles of either distribution: samples without chance."""


def ranged(name: str, values: torch.Tensor, spec: QuantSpec = INT8_ACTIVATION):
    calibrator = CALIBRATORS[name](spec)
    calibrator.observe(values.float().reshape(-1, 1000))
    low, high = calibrator.range()
    return low.item(), high.item()


def test_the_best_clips_are_the_published_ones():
    assert [laplace_clip(bits) for bits in BITS] == pytest.approx(LAPLACE, abs=5.1e-5)
    assert [gauss_clip(bits) for bits in BITS] == pytest.approx(GAUSS, abs=5.1e-5)
    in_std = [laplace_clip(bits) / 2**0.5 for bits in range(1, 9)]
    assert in_std == pytest.approx(LAPLACE_OVER_STD, abs=5.1e-5)


def test_the_least_errors_are_the_published_ones():
    assert laplace_error(laplace_clip(4), 4) == pytest.approx(4.602e-2, rel=2e-4)
    assert gauss_error(gauss_clip(4), 4) == pytest.approx(1.049e-2, rel=5e-4)
    assert laplace_error(laplace_clip(8), 8) == pytest.approx(5.989e-4, rel=2e-4)
    assert gauss_error(gauss_clip(8), 8) == pytest.approx(8.708e-5, rel=2e-4)


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize(
    ("clip", "error"), [(laplace_clip, laplace_error), (gauss_clip, gauss_error)]
)
def test_no_clip_nearby_has_less_error(clip, error, bits):
    best = error(clip(bits), bits)

    assert all(error(clip(bits) * factor, bits) > best for factor in (0.9, 0.99, 1.01, 1.1))


SIMULATED = pytest.mark.parametrize(
    ("name", "clip", "error"),
    [("laplace", laplace_clip, laplace_error), ("gauss", gauss_clip, gauss_error)],
)


@SIMULATED
@pytest.mark.parametrize("bits", range(2, 7))
def test_clipping_and_rounding_with_dither_cost_what_the_formula_says(name, clip, error, bits):
    x, alpha = SAMPLES[name], clip(bits)
    step = 2 * alpha / 2**bits
    dither = torch.rand(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)

    cells = (x.clamp(-alpha, alpha) / step + dither).floor()
    rounded = (cells + 0.5 - dither) * step

    assert float((rounded - x).square().mean()) == pytest.approx(error(alpha, bits), rel=0.02)


@SIMULATED
@pytest.mark.parametrize("bits", range(2, 7))
def test_cells_without_dither_cost_nearly_that(name, clip, error, bits):
    x, alpha = SAMPLES[name], clip(bits)
    step = 2 * alpha / 2**bits

    middles = ((x / step).floor() + 0.5) * step
    rounded = torch.where(x.abs() < alpha, middles, alpha * x.sign())

    # the formula has rounding errors beyond the ends too, where at 2 bits 9 % of the normal lie
    within = {2: 0.08, 3: 0.03}.get(bits, 0.02)
    assert float((rounded - x).square().mean()) == pytest.approx(error(alpha, bits), rel=within)


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_the_full_range_is_the_mean_and_the_clip_around_it(bits):
    spec = QuantSpec(bits=bits)

    low, high = ranged("aciq-gauss", SAMPLES["gauss"] + 0.5, spec)

    expected = (0.5 - GAUSS[bits - 1], 0.5 + GAUSS[bits - 1])
    assert (low, high) == pytest.approx(expected, abs=2e-3)  # moments are those of bins


def test_the_half_range_is_that_of_one_bit_more():
    values = SAMPLES["laplace"].relu()  # mean 1/2, mean deviation about it e**(-1/2)
    deviation = torch.tensor(-0.5).exp().item()

    low, high = ranged("aciq-laplace", values, QuantSpec(bits=4))

    assert low == 0.0
    assert high == pytest.approx(0.5 + LAPLACE[4] * deviation, rel=2e-3)


def test_on_a_symmetric_grid_half_of_it_is_not_used_by_one_sign():
    values = SAMPLES["laplace"].relu()
    spec = QuantSpec(bits=4, symmetric=True)

    high = ranged("aciq-laplace", values, spec)[1]

    assert high == pytest.approx(0.5 + LAPLACE[3] * torch.tensor(-0.5).exp().item(), rel=2e-3)


def test_the_likelier_distribution_is_chosen():
    for name in ("gauss", "laplace"):
        assert ranged("aciq", SAMPLES[name]) == ranged(f"aciq-{name}", SAMPLES[name])


def test_where_both_are_equally_likely_the_choice_turns():
    # log densities at their maxima: -ln(2 b) - 1 and -ln(2 pi s**2) / 2 - 1 / 2
    flat, peaked = (Moments(0.0, LIKELIER_LAPLACE * by, 1.0) for by in (1.001, 0.999))

    assert likelier_width(flat, 8) == gauss_width(flat, 8)
    assert likelier_width(peaked, 8) == laplace_width(peaked, 8)


def test_a_clip_beyond_the_values_is_their_extreme():
    values = torch.linspace(-1.0, 1.0, 10_000)

    assert ranged("aciq-laplace", values, INT8_WEIGHT_PER_TENSOR) == (-1.0, 1.0)
