"""Ranges of weights: as good as a fine scan, closed forms, per channel and per tensor."""

from __future__ import annotations

import pytest
import torch

from intaglio.calibrate.aciq import gauss_clip, laplace_clip
from intaglio.calibrate.weight_ranges import aciq_weight_range, mse_weight_range
from intaglio.errors import SpecError
from intaglio.numerics.affine import fake_quantize, params_from_range
from intaglio.numerics.spec import INT8_ACTIVATION, INT8_WEIGHT, QuantSpec

INT4 = QuantSpec(bits=4, symmetric=True, narrow=True, axis=0)
INT4_PER_TENSOR = QuantSpec(bits=4, symmetric=True, narrow=True)
SHARES = (torch.arange(10**5, dtype=torch.float64) + 0.5) / 10**5
NORMAL = torch.special.ndtri(SHARES).float()
LAPLACE = (-(SHARES - 0.5).sign() * torch.log1p(-2 * (SHARES - 0.5).abs())).float()
BOTH = pytest.mark.parametrize("weight_range", [mse_weight_range, aciq_weight_range])


def weights(seed: int = 0) -> torch.Tensor:
    """Return 12 channels of 9 to 90 weights' worth of different shapes and scales."""
    made = torch.randn(12, 90, generator=torch.Generator().manual_seed(seed))
    made[:4] = made[:4].pow(3)
    made[4, 9:] = 0.0
    return made * torch.logspace(-3, 2, 12)[:, None]


def errors(rows: torch.Tensor, largest: torch.Tensor, spec: QuantSpec) -> torch.Tensor:
    grid = params_from_range(-largest, largest, spec)
    return (fake_quantize(rows, grid) - rows).double().square().flatten(1).sum(1)


@pytest.mark.parametrize("spec", [INT4, INT8_WEIGHT, QuantSpec(bits=2, symmetric=True, axis=0)])
@pytest.mark.parametrize("seed", range(3))
def test_no_shrinking_of_a_channel_in_a_fine_scan_is_much_better(spec, seed):
    rows = weights(seed)

    found = errors(rows, mse_weight_range(rows, spec), spec)

    full = rows.abs().amax(1)
    scan = torch.stack([errors(rows, full * s, spec) for s in torch.linspace(0.05, 1.0, 951)])
    # steps of 2.5 thousandths around the best of steps of 20; with few weights errors are jagged
    assert (found <= scan.amin(0) * 1.1 + 1e-12).all()
    assert (found <= errors(rows, full, spec)).all()


def test_normal_weights_at_four_bits_are_clipped_where_theory_says():
    rows = torch.stack([NORMAL, 100.0 * NORMAL])

    found = mse_weight_range(rows, INT4)

    assert found.tolist() == pytest.approx([2.475, 247.5], rel=0.008)


def test_per_tensor_is_one_magnitude_for_all_channels():
    rows = weights()

    found = mse_weight_range(rows, INT4_PER_TENSOR)

    assert found.shape == ()
    flat = rows.reshape(1, -1)
    assert found == mse_weight_range(flat, INT4)[0]
    assert aciq_weight_range(rows, INT4_PER_TENSOR) == aciq_weight_range(flat, INT4)[0]


def test_weights_on_the_grid_are_not_clipped():
    rows = torch.arange(-7.0, 8.0).repeat(2, 1)

    assert mse_weight_range(rows, INT4).tolist() == [7.0, 7.0]


@BOTH
def test_the_range_is_at_most_the_largest_weight(weight_range):
    rows = weights()

    found = weight_range(rows, INT4)

    assert found.shape == (12,)
    assert found.dtype == torch.float32
    assert (found > 0).all()
    assert (found <= rows.abs().amax(1)).all()


@BOTH
def test_a_channel_of_zeros_has_the_range_zero(weight_range):
    assert weight_range(torch.zeros(2, 5), INT4).tolist() == [0.0, 0.0]


@BOTH
def test_what_is_not_finite_is_not_hidden(weight_range):
    rows = weights()
    rows[3, 4] = torch.nan

    assert not weight_range(rows, INT4)[3].isfinite()


@BOTH
def test_a_grid_with_a_zero_point_is_refused(weight_range):
    with pytest.raises(SpecError, match="symmetric"):
        weight_range(weights(), INT8_ACTIVATION)


def test_analytic_ranges_are_those_of_the_likelier_distribution():
    found = aciq_weight_range(torch.stack([NORMAL, LAPLACE, NORMAL + 0.25]), INT4)

    expected = [gauss_clip(4), laplace_clip(4), gauss_clip(4) + 0.25]
    assert found.tolist() == pytest.approx(expected, rel=1e-3)


def test_the_weights_are_left_as_they_were():
    rows = weights()
    before = rows.clone()

    mse_weight_range(rows, INT4)
    aciq_weight_range(rows, INT4)

    assert torch.equal(rows, before)
