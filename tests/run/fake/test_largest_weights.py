"""Scales of weights by their largest magnitudes."""

from __future__ import annotations

import math

import torch

from intaglio.numerics.spec import QuantParams, QuantSpec
from intaglio.run.fake.largest_weights import LargestWeights


def of(scales: list[float], axis: int | None = 0) -> LargestWeights:
    """Return ranges that start from such scales; 4 bits: the highest integer is 7."""
    spec = QuantSpec(bits=4, symmetric=True, axis=axis, narrow=True)
    scale = torch.tensor(scales if axis is not None else scales[0])
    grid = QuantParams(scale, torch.zeros_like(scale, dtype=torch.int32), spec)
    return LargestWeights(grid, torch.ones(()))  # it asks for the weight of each step


def test_the_largest_magnitude_of_a_row_is_the_highest_integer():
    weight = torch.tensor([[0.7, -1.4], [0.1, -0.35]]).reshape(2, 2, 1, 1)

    torch.testing.assert_close(of([1.0, 1.0]).wished(weight), torch.tensor([0.2, 0.05]))
    torch.testing.assert_close(of([1.0, 1.0], 1).wished(weight), torch.tensor([0.1, 0.2]))
    torch.testing.assert_close(of([1.0], None).wished(weight), torch.tensor(0.2))


def test_a_row_of_zeros_keeps_its_calibrated_scale():
    weight = torch.tensor([[0.0, -0.0], [0.1, -0.35], [1e-40, 0.0]])

    torch.testing.assert_close(of([3.0, 3.0, 2.0]).wished(weight), torch.tensor([3.0, 0.05, 2.0]))
    assert float(of([3.0], None).wished(torch.zeros(2, 2))) == 3.0


def test_what_is_not_finite_is_told_as_it_is():
    weight = torch.tensor([[math.nan, 1.0], [math.inf, 1.0], [7.0, 1.0]])

    found = of([1.0, 1.0, 1.0]).wished(weight).tolist()

    assert math.isnan(found[0])
    assert found[1:] == [math.inf, 1.0]


def test_a_row_with_a_zero_point_is_covered_on_both_sides_of_it():
    spec = QuantSpec(bits=4, axis=0)
    grid = QuantParams(torch.ones(3), torch.tensor([-8, 7, 0], dtype=torch.int32), spec)
    weight = torch.tensor([[0.0, 3.0], [-1.5, 0.0], [-0.8, 1.4]])  # 15, 15, and 8 and 7 levels

    found = LargestWeights(grid, torch.ones(())).wished(weight)

    torch.testing.assert_close(found, torch.tensor([0.2, 0.1, 0.2]))
