"""Bits of channels by their ranges, and mean and norm given back to rounded weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import RequestError
from intaglio.methods.rounding.aciq_weights import aciq_bit_allocation, aciq_weight_bias_correction
from intaglio.numerics.affine import fake_quantize, params_from_range
from intaglio.numerics.spec import QuantSpec

RANGES = st.lists(st.floats(2.0**-20, 2.0**20), min_size=1, max_size=80)


@settings(max_examples=200, deadline=None)
@given(RANGES, st.floats(0.0, 8.0))
def test_the_mean_is_as_near_as_whole_bits_come(ranges, mean_bits):
    bits = aciq_bit_allocation(torch.tensor(ranges), mean_bits)

    assert bits.dtype == torch.int64
    assert ((bits >= 0) & (bits <= 8)).all()
    assert abs(float(bits.double().mean()) - mean_bits) <= 0.5 / len(ranges) + 1e-9


@pytest.mark.parametrize("channels", [50, 64, 320, 1280])
@pytest.mark.parametrize("mean_bits", [2, 3, 4, 3.5])
def test_with_fifty_channels_or_more_the_mean_is_within_a_hundredth(channels, mean_bits):
    ranges = torch.randn(channels, generator=torch.Generator().manual_seed(0)).exp()

    bits = aciq_bit_allocation(ranges, mean_bits)

    assert abs(float(bits.double().mean()) - mean_bits) <= 0.01


def test_eight_times_the_range_is_two_bits_more():
    ranges = torch.tensor([1.0, 8.0, 64.0])  # to the power 2/3: 1, 4, 16

    assert aciq_bit_allocation(ranges, 4).tolist() == [2, 4, 6]


@settings(max_examples=100, deadline=None)
@given(RANGES, st.floats(0.0, 8.0))
def test_wider_channels_have_no_fewer_bits_but_for_rounding(ranges, mean_bits):
    ordered = torch.tensor(sorted(ranges))

    bits = aciq_bit_allocation(ordered, mean_bits)

    assert (bits.cummax(0).values - bits <= 1).all()


def test_channels_of_one_range_share_what_is_left():
    assert aciq_bit_allocation(torch.ones(4), 3.5).sort().values.tolist() == [3, 3, 4, 4]


def test_dead_channels_get_nothing_and_the_rest_at_most_eight():
    assert aciq_bit_allocation(torch.tensor([0.0, 1.0, 1.0, 0.0]), 3).tolist() == [0, 6, 6, 0]
    assert aciq_bit_allocation(torch.tensor([0.0, 1.0, 0.0, 0.0]), 4).tolist() == [0, 8, 0, 0]
    assert aciq_bit_allocation(torch.zeros(3), 4).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("ranges", "mean_bits"), [([1.0], 8.5), ([1.0], -1.0), ([-1.0], 4), ([float("nan")], 4)]
)
def test_what_makes_no_sense_is_refused(ranges, mean_bits):
    with pytest.raises(RequestError, match=r"bits must be|finite"):
        aciq_bit_allocation(torch.tensor(ranges), mean_bits)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("shape", [(16, 3, 3, 3), (8, 1, 3, 3), (10, 64)])
def test_every_channel_gets_its_mean_and_norm_back(bits, shape):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(shape, generator=generator) + 0.3
    rows = weight.flatten(1)
    largest = rows.abs().amax(1)
    spec = QuantSpec(bits=bits, symmetric=True, axis=0, narrow=bits > 2)
    quantized = fake_quantize(weight, params_from_range(-largest, largest, spec))

    corrected = aciq_weight_bias_correction(weight, quantized)

    assert corrected.shape == weight.shape
    now = corrected.flatten(1).double()
    true = rows.double()
    assert torch.allclose(now.mean(1), true.mean(1), atol=1e-6)
    assert torch.allclose(now.norm(dim=1), true.norm(dim=1), rtol=1e-6)
    for level in quantized[0].unique():  # still one number for each integer
        assert len(corrected[0][quantized[0] == level].unique()) == 1


def test_weights_that_rounding_left_alone_stay():
    weight = torch.randn(5, 20, generator=torch.Generator().manual_seed(0))

    assert torch.allclose(aciq_weight_bias_correction(weight, weight), weight, atol=1e-6)


def test_a_channel_that_became_constant_is_only_moved():
    weight = torch.tensor([[0.1, 0.3], [2.0, 2.0]])

    corrected = aciq_weight_bias_correction(weight, torch.zeros(2, 2))

    assert torch.allclose(corrected, torch.tensor([[0.2, 0.2], [2.0, 2.0]]))
