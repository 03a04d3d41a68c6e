"""The bounds of a fused multiply-add hold the exactly rounded result, and mostly are it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from intaglio.numerics.fused import fused_multiply_add
from runtimes.litert.ops.processors import nearest_float32


def test_the_exact_result_lies_between_the_bounds_and_they_are_mostly_one() -> None:
    random, single = np.random.default_rng(0), 0
    for _ in range(400):
        values = random.normal(size=8).astype(np.float32) * np.float32(2.0 ** random.uniform(0, 20))
        factor = np.float32(random.normal() * 2.0 ** random.uniform(-20, 5))
        addend = np.float32(random.normal() * 2.0 ** random.uniform(-30, 10))

        low, high = fused_multiply_add(values, factor, addend)

        for value, least, most in zip(values, low, high, strict=True):
            exact = Fraction(float(value)) * Fraction(float(factor)) + Fraction(float(addend))
            assert least <= nearest_float32(exact) <= most
        single += int((low == high).sum())
    assert single > 0.999 * 400 * 8


def test_a_product_that_two_roundings_lose_is_kept() -> None:
    one_and_a_bit = np.float32(1 + 2.0**-12)

    low, high = fused_multiply_add(np.asarray([one_and_a_bit]), one_and_a_bit, np.float32(-1))

    assert low == high == np.float32(2.0**-11 + 2.0**-24)
    assert one_and_a_bit * one_and_a_bit - np.float32(1) == np.float32(2.0**-11)
