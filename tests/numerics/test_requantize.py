"""The three arithmetics of requantization, against golden vectors and arbitrary-size integers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from intaglio.numerics.requantize import (
    double_rounding,
    fixed_point_multiplier,
    fixed_point_multipliers,
    float32_multiplier,
    float32_requantize,
    high_multiply,
    round_away,
    shift_half_away,
)

quick = settings(max_examples=300, deadline=None)
INT32 = st.integers(-(2**31), 2**31 - 1)
MULTIPLIER = st.floats(1e-8, 0.999999)

# real multiplier: (mantissa, exponent, {x: (double rounding, one rounding with ties away)})
GOLDEN = {
    0.25: (
        1073741824,
        -1,
        {
            1: (1, 0), 2: (1, 1), 5: (2, 1), 6: (2, 2), 9: (3, 2), 10: (3, 3),
            -1: (0, 0), -2: (-1, -1), -6: (-2, -2), -10: (-3, -3),
        },
    ),
    0.3: (
        1288490189,
        -1,
        {1: (1, 0), 5: (2, 2), -5: (-2, -2), 12345: (3704, 3704), 1048577: (314573, 314573)},
    ),
    0.5: (
        1073741824,
        0,
        {1: (1, 1), -1: (0, -1), 3: (2, 2), -3: (-1, -2), 12345: (6173, 6173),
         -12345: (-6172, -6173)},
    ),
    1e-4: (1759218604, -13, {12345: (1, 1), 1048577: (105, 105)}),
    1.5: (1610612736, 1, {1: (2, 2), -1: (-1, -2), 5: (8, 8), -5: (-7, -8)}),
}  # fmt: skip


def tensor(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64)


@pytest.mark.parametrize("real", GOLDEN)
def test_the_golden_vectors(real):
    mantissa, exponent, vectors = GOLDEN[real]
    inputs = tensor(*vectors)

    assert fixed_point_multiplier(real) == (mantissa, exponent)
    assert double_rounding(inputs, mantissa, exponent).tolist() == [v[0] for v in vectors.values()]
    assert round_away(inputs, mantissa, exponent).tolist() == [v[1] for v in vectors.values()]


def truncated(numerator: int, denominator: int) -> int:
    return abs(numerator) // denominator * (1 if numerator >= 0 else -1)


def gemmlowp_high_multiply(a: int, b: int) -> int:
    """Round a * b / 2**31 as gemmlowp's text says: nudge by half, then truncate."""
    product = a * b
    return truncated(product + (2**30 if product >= 0 else 1 - 2**30), 2**31)


def gemmlowp_shift(x: int, right: int) -> int:
    """Divide by a power of two as gemmlowp's text says: remainder against a threshold."""
    mask = 2**right - 1
    threshold = (mask >> 1) + (x < 0)
    return (x >> right) + ((x & mask) > threshold)


@quick
@given(INT32, st.integers(2**30, 2**31 - 1))
@example(-(2**31), 2**30)
@example(-1, 2**30)
@example(1, 2**30)
def test_the_high_multiply_is_gemmlowps(value, mantissa):
    assert int(high_multiply(tensor(value), mantissa)) == gemmlowp_high_multiply(value, mantissa)


@quick
@given(INT32, st.integers(0, 31))
@example(-(2**31), 31)
@example(-3, 1)
@example(3, 1)
def test_the_shift_is_gemmlowps(value, right):
    assert int(shift_half_away(tensor(value), right)) == gemmlowp_shift(value, right)


@quick
@given(st.integers(-(2**24), 2**24), st.floats(1e-9, 60.0))
def test_double_rounding_is_gemmlowps(value, real):
    mantissa, exponent = fixed_point_multiplier(real)

    shifted = value * 2 ** max(exponent, 0)

    assert int(double_rounding(tensor(value), mantissa, exponent)) == gemmlowp_shift(
        gemmlowp_high_multiply(shifted, mantissa), max(-exponent, 0)
    )


@quick
@given(INT32, st.floats(1e-9, 0.999999))
@example(3, 0.5)
@example(-3, 0.5)
def test_round_away_is_the_exact_product_rounded_half_away(value, real):
    mantissa, exponent = fixed_point_multiplier(real)
    exact = Fraction(value * mantissa) * Fraction(2) ** (exponent - 31)

    ours = int(round_away(tensor(value), mantissa, exponent))

    assert ours == math.floor(abs(exact) + Fraction(1, 2)) * (1 if value >= 0 else -1)


@quick
@given(st.integers(-(2**20), 2**20), MULTIPLIER)
def test_double_rounding_is_never_a_whole_step_away(value, real):
    mantissa, exponent = fixed_point_multiplier(real)

    error = abs(int(double_rounding(tensor(value), mantissa, exponent)) - value * real)

    # the first rounding moves half a unit of what is then divided by 2**-exponent
    assert error <= 0.5 + 0.5 * 2.0 ** min(exponent, 0) + 1e-3


def test_the_two_fixed_point_arithmetics_differ_rarely_and_by_one():
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(-(2**20), 2**20, (200, 1000), generator=generator)
    reals = 10 ** (-5 + 3 * torch.rand(200, 1, generator=generator, dtype=torch.float64))
    mantissas, exponents = fixed_point_multipliers(reals)

    difference = double_rounding(values, mantissas, exponents) - round_away(
        values, mantissas, exponents
    )

    assert int(difference.abs().max()) == 1
    assert 0 < float((difference != 0).double().mean()) < 0.01


@quick
@given(st.floats(1e-9, 1e6))
def test_a_multiplier_is_encoded_to_31_bits(real):
    mantissa, exponent = fixed_point_multiplier(real)

    assert 2**30 <= mantissa < 2**31
    assert abs(mantissa * 2.0 ** (exponent - 31) / real - 1) <= 2.0**-31


@pytest.mark.parametrize(
    ("real", "encoded"),
    [
        (0.0, (0, 0)),
        (1.0, (2**30, 1)),
        (math.nextafter(1.0, 0.0), (2**30, 1)),  # its mantissa rounds up to 2**31
        (2.0**-32, (2**30, -31)),
        (2.0**-33, (0, 0)),
    ],
)
def test_the_ends_of_the_encoding(real, encoded):
    assert fixed_point_multiplier(real) == encoded


def test_many_multipliers_are_encoded_one_by_one():
    reals = torch.tensor([[0.25, 0.3], [1e-4, 1.5]], dtype=torch.float64)

    mantissas, exponents = fixed_point_multipliers(reals)

    assert mantissas.tolist() == [[1073741824, 1288490189], [1759218604, 1610612736]]
    assert exponents.tolist() == [[-1, -1], [-13, 1]]


@quick
@given(
    st.integers(-(2**31), 2**31 - 1),
    st.floats(2.0**-30, 2.0**-1, width=32),
)
@example(5, 0.5)
@example(-5, 0.5)
def test_float32_requantize_is_numpys_float32_product_rounded_to_even(value, multiplier):
    accumulator = np.float32(value)

    ours = float32_requantize(torch.tensor(accumulator), torch.tensor(multiplier))

    assert ours.item() == np.rint(accumulator * np.float32(multiplier))


@quick
@given(*[st.floats(2.0**-20, 16.0, width=32)] * 3)
def test_the_float32_multiplier_rounds_the_product_before_the_quotient(x, w, y):
    ours = float32_multiplier(np.float32(x), torch.tensor([w]), np.float32(y))

    assert ours.dtype == torch.float32
    assert ours.item() == (np.float32(x) * np.float32(w)) / np.float32(y)
    assert ours.item() == pytest.approx(x * w / y, rel=2.0**-22)  # a product AND a division
