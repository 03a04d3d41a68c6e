"""Reals onto an integer grid and back."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from intaglio import zoo
from intaglio.errors import RangeError, SpecError
from intaglio.numerics.affine import dequantize, fake_quantize, params_from_range, quantize
from intaglio.numerics.metrics import sqnr_db
from intaglio.numerics.spec import (
    INT8_ACTIVATION,
    INT8_WEIGHT,
    INT8_WEIGHT_PER_TENSOR,
    QuantParams,
    QuantSpec,
    per_tensor,
)

ROUNDING = 2.0**-22  # float32: the quotient, the product and the scale are each rounded once
SPECS = [
    QuantSpec(bits, signed=signed, symmetric=symmetric, narrow=narrow)
    for bits in (2, 3, 4, 8, 12, 16)
    for signed, symmetric, narrow in [
        (True, False, False),
        (False, False, False),
        (True, True, False),
        (True, True, True),
        (True, False, True),
    ]
]
SPEC = st.sampled_from(SPECS)
REAL = st.floats(-1e6, 1e6, width=32)
VALUES = st.lists(REAL, min_size=1, max_size=40).map(lambda x: torch.tensor(x))
quick = settings(max_examples=150, deadline=None)


def params_of(values: torch.Tensor, spec: QuantSpec) -> QuantParams:
    return params_from_range(values.min(), values.max(), spec)


@quick
@given(SPEC, VALUES)
def test_zero_is_exact_on_every_grid(spec, values):
    params = params_of(values, spec)

    assert spec.qmin <= params.zero <= spec.qmax
    assert fake_quantize(torch.zeros(3), params).tolist() == [0, 0, 0]


@quick
@given(SPEC, VALUES)
def test_no_value_inside_the_range_moves_more_than_half_a_step(spec, values):
    params = params_of(values, spec)

    moved = (fake_quantize(values, params).double() - values.double()).abs()

    slack = ROUNDING * values.abs().max().double()
    assert bool((moved <= 0.5 * params.scale.double() + slack).all())


@quick
@given(SPEC, VALUES)
def test_quantizing_twice_is_quantizing_once(spec, values):
    params = params_of(values, spec)
    integers = quantize(values, params)

    assert torch.equal(quantize(dequantize(integers, params), params), integers)


@quick
@given(SPEC, VALUES)
def test_integers_stay_on_the_grid_wherever_the_values_are(spec, values):
    params = params_of(values[:1], spec)

    integers = quantize(torch.cat([values, torch.tensor([-math.inf, math.inf])]), params)

    assert integers.dtype == torch.int32
    assert spec.qmin <= int(integers.min()) <= int(integers.max()) <= spec.qmax
    assert (integers[-2], integers[-1]) == (spec.qmin, spec.qmax)


@quick
@given(SPEC, VALUES)
def test_larger_values_never_get_smaller_integers(spec, values):
    params = params_of(values, spec)

    integers = quantize(values.sort().values, params)

    assert bool((integers.diff() >= 0).all())


def test_the_textbook_example():
    params = params_from_range(torch.tensor(-1.0), torch.tensor(1.55), INT8_ACTIVATION)

    assert params.scale.item() == pytest.approx(0.01)
    assert params.zero == -28
    assert quantize(torch.tensor([-1.0, 0.0, 0.5, 1.55, 9.0]), params).tolist() == [
        -128, -28, 22, 127, 127,
    ]  # fmt: skip


def test_ties_round_to_even():
    params = per_tensor(0.5, 0)

    integers = quantize(torch.tensor([0.25, 0.75, 1.25, -0.25, -0.75]), params)

    assert integers.tolist() == [0, 2, 2, 0, -2]


@pytest.mark.parametrize("low", [0.0, -1e-41, -1e-38])
def test_a_range_of_nothing_keeps_zeros(low):
    for spec in SPECS:
        params = params_from_range(torch.tensor(low), torch.tensor(0.0), spec)

        assert params.scale == 1.0 or params.scale >= torch.finfo(torch.float32).tiny
        assert fake_quantize(torch.zeros(2), params).tolist() == [0, 0]


def test_a_degenerate_range_has_scale_1_and_the_lowest_zero_point():
    params = params_from_range(torch.tensor(0.0), torch.tensor(0.0), INT8_ACTIVATION)

    assert (params.step, params.zero) == (1.0, -128)


def test_the_whole_float32_range_has_a_finite_scale():
    largest = torch.tensor(torch.finfo(torch.float32).max)

    params = params_from_range(-largest, largest, INT8_ACTIVATION)

    assert bool(params.scale.isfinite())
    assert fake_quantize(largest, params) > 0.99 * largest


@pytest.mark.parametrize(("low", "high"), [(math.nan, 1.0), (-math.inf, 1.0), (0.0, math.inf)])
def test_a_range_that_is_not_finite_is_refused(low, high):
    with pytest.raises(RangeError, match="NaN or infinity"):
        params_from_range(torch.tensor(low), torch.tensor(high), INT8_ACTIVATION)


def test_a_range_that_is_upside_down_is_refused():
    with pytest.raises(RangeError, match=r"low=\[0.0, 2.0\] high=\[1.0, 1.0\]"):
        params_from_range(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0]), INT8_WEIGHT)


@pytest.mark.parametrize("axis", [0, 1])
def test_channels_have_their_own_scales_along_their_axis(axis):
    weight = torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    other = [dim for dim in range(4) if dim != axis]
    spec = QuantSpec(symmetric=True, axis=axis, narrow=True)
    params = params_from_range(weight.amin(other), weight.amax(other), spec)

    whole = quantize(weight, params)

    for index in range(weight.shape[axis]):
        single = per_tensor(params.scale[index].item(), 0, INT8_WEIGHT_PER_TENSOR)
        assert torch.equal(whole.select(axis, index), quantize(weight.select(axis, index), single))
    assert int(whole.abs().amax()) == 127


def test_each_bit_gains_six_decibels():
    signal = torch.rand(200_000, generator=torch.Generator().manual_seed(0))
    found = []
    for bits in range(3, 12):
        params = params_from_range(torch.tensor(0.0), torch.tensor(1.0), QuantSpec(bits))
        noise = (fake_quantize(signal, params) - signal).double()
        found.append(sqnr_db(float(signal.double().square().sum()), float(noise.square().sum())))

    # 2**bits - 1 steps: noise step**2 / 12 under a signal of power 1 / 3
    for bits, sqnr in zip(range(3, 12), found, strict=True):
        assert abs(sqnr - 20 * math.log10(2 * (2**bits - 1))) < 0.05
    gains = torch.tensor(found[3:]).diff()  # few bits gain more: 15 / 7 is more than 2
    assert bool(((gains - 20 * math.log10(2)).abs() < 0.2).all())


def squared_error(weight: torch.Tensor, spec: QuantSpec) -> float:
    rows = weight.flatten(1)
    if spec.axis is None:
        params = params_from_range(weight.min(), weight.max(), spec)
    else:
        params = params_from_range(rows.amin(1), rows.amax(1), spec)
    return float((fake_quantize(weight, params).double() - weight.double()).square().sum())


def assert_channels_are_better(weights: list[torch.Tensor]) -> None:
    assert len(weights) == 53  # 52 convolutions and the classifier
    for weight in weights:
        per_channel = squared_error(weight, INT8_WEIGHT)
        assert per_channel <= squared_error(weight, INT8_WEIGHT_PER_TENSOR)


def test_channel_scales_are_better_for_every_weight_of_a_random_mobilenet_v2():
    torch.manual_seed(0)
    network = zoo.mobilenet_v2(width=0.25)

    assert_channels_are_better([p.detach() for p in network.parameters() if p.ndim > 1])


def test_channel_scales_are_better_for_every_weight_of_the_trained_mobilenet_v2(data_pack):
    weights = load_file(data_pack / "weights" / "mobilenet_v2_1.0_224_tf.safetensors")

    assert_channels_are_better([weight for weight in weights.values() if weight.ndim > 1])


def test_thirty_two_bits_are_exact():
    spec = QuantSpec(bits=32, symmetric=True)
    params = per_tensor(2.0**-20, 0, spec)
    integers = torch.tensor([2**24 + 1, -(2**30) - 7, 2**31 - 1], dtype=torch.int64)

    found = quantize(integers.double() * 2.0**-20, params)

    assert found.tolist() == integers.tolist()


@pytest.mark.parametrize("bits", [1, 17, 31, 33, 0, -8])
def test_other_widths_are_refused(bits):
    with pytest.raises(SpecError, match=f"bits must be 2..16 or 32, got {bits}"):
        QuantSpec(bits)


def test_an_unsigned_symmetric_grid_is_refused():
    with pytest.raises(SpecError, match="needs signed=True"):
        QuantSpec(signed=False, symmetric=True)


@pytest.mark.parametrize(
    ("spec", "grid"),
    [
        (QuantSpec(), (-128, 127)),
        (QuantSpec(narrow=True), (-127, 127)),
        (QuantSpec(signed=False), (0, 255)),
        (QuantSpec(4), (-8, 7)),
        (QuantSpec(2, symmetric=True, narrow=True), (-1, 1)),
        (QuantSpec(16), (-32768, 32767)),
        (QuantSpec(32), (-(2**31), 2**31 - 1)),
    ],
)
def test_grids_are_those_of_twos_complement(spec, grid):
    assert (spec.qmin, spec.qmax) == grid


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_scales_that_are_none_are_refused(scale):
    with pytest.raises(SpecError, match="scales must be finite and > 0"):
        per_tensor(scale, 0)


def test_scales_and_zero_points_must_have_one_shape():
    with pytest.raises(SpecError, match="scale"):
        QuantParams(torch.ones(2), torch.zeros(3, dtype=torch.int32), INT8_WEIGHT)


def test_the_same_grid_is_the_same_numbers():
    assert per_tensor(0.1, 3).same_grid(per_tensor(0.1, 3))
    assert not per_tensor(0.1, 3).same_grid(per_tensor(0.1, 4))
    assert not per_tensor(0.1, 3).same_grid(per_tensor(0.1, 3, QuantSpec(4)))


@settings(deadline=None)
@given(
    spec=st.sampled_from(SPECS), scale=st.floats(2.0**-20, 2.0**20, width=32), part=st.floats(0, 1)
)
def test_the_unsigned_grid_has_the_same_reals(spec, scale, part):
    zero = 0 if spec.symmetric else spec.qmin + round(part * (spec.qmax - spec.qmin))
    grid = per_tensor(scale, zero, spec)
    made = grid.unsigned()

    ends, moved = ((one.spec.qmin - one.zero, one.spec.qmax - one.zero) for one in (grid, made))
    assert ends == moved
    assert (made.spec.signed, made.spec.qmin, made.step) == (False, int(spec.narrow), grid.step)


def test_the_integers_of_int8_are_128_higher_in_uint8():
    assert per_tensor(0.1, -3).unsigned().same_grid(per_tensor(0.1, 125, QuantSpec(signed=False)))


@pytest.mark.parametrize(
    ("signal", "noise", "expected"),
    [(100.0, 1.0, 20.0), (1.0, 0.0, math.inf), (0.0, 0.0, math.inf), (0.0, 1.0, -math.inf)],
)
def test_sqnr_is_ten_times_the_logarithm(signal, noise, expected):
    assert sqnr_db(signal, noise) == pytest.approx(expected)
