"""What is done to images that are made: moved by pixels, and behind a low-pass."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from intaglio.methods.datafree.pictures import low_passed, moved
from intaglio.methods.datafree.tapped import swung


@pytest.mark.parametrize("cycles", [1.0, 3.0, 10.0])
@pytest.mark.parametrize("waves", [1, 2, 5])
def test_a_wave_passes_by_the_gaussian_of_its_frequency(cycles, waves):
    place = torch.arange(32, dtype=torch.float64) / 32
    wave = torch.cos(2 * math.pi * waves * place).expand(1, 1, 32, 32)

    passed = low_passed(wave, cycles)

    share = math.exp(-(waves**2) / (2 * cycles**2))
    # the filter is float32: 24 bits of a share of at most 1
    torch.testing.assert_close(passed, share * wave, rtol=0, atol=1e-7)


def test_a_constant_passes_whole_and_zero_cycles_are_no_filter():
    images = torch.randn(2, 3, 7, 9)

    assert low_passed(images, 0.0) is images
    torch.testing.assert_close(
        low_passed(torch.full((1, 1, 7, 9), 3.0), 0.5).mean(), torch.tensor(3.0)
    )


@given(st.integers(0, 2**31), st.integers(1, 4))
def test_images_are_moved_no_further_than_asked_and_keep_their_size(seed, pixels):
    ramp = torch.arange(12.0).expand(1, 1, 12, 12) + 100.0 * torch.arange(12.0).reshape(12, 1)

    found = moved(ramp, pixels, torch.Generator().manual_seed(seed))

    assert found.shape == ramp.shape
    middle = found[0, 0, 6, 6]
    column, row = float(middle % 100), float(middle // 100)
    assert abs(row - 6) <= pixels
    assert min(abs(column - 6), abs(column - 5)) <= pixels  # 5 where it is mirrored


@given(st.integers(0, 2**31))
def test_swung_values_are_moved_by_a_place_at_most(seed):
    ramp = torch.arange(8.0).expand(1, 1, 8, 8) + 10.0 * torch.arange(8.0).reshape(8, 1)

    found = swung(ramp, torch.Generator().manual_seed(seed))

    away = (found - ramp)[0, 0, 1:-1, 1:-1]
    assert float(away.std()) < 1e-6
    places = (-1, 0, 1)
    assert float(away[0, 0]) in {10.0 * down + across for down in places for across in places}
