"""PACT: dy/da = 1 where x >= a, and 0 elsewhere."""

from __future__ import annotations

import math

import pytest
import torch

from intaglio.numerics.spec import QuantSpec, per_tensor
from intaglio.run.fake.fake_quantize import Scratch, fake_quantize
from intaglio.run.fake.pact import PactValues

UNSIGNED = QuantSpec(bits=4, signed=False)


def slope(values: PactValues, used, x: float, clamp=None) -> float:
    """Return dy/da of one value, a the upper end: a = a_0 exp(log)."""
    values.log.grad = None
    edges = values.edges(used, count=1)
    fake_quantize(torch.tensor([x]), edges.within(clamp), Scratch()).sum().backward()
    end = float(edges.high.detach())
    return 0.0 if values.log.grad is None else float(values.log.grad) / end


@pytest.mark.parametrize(
    ("x", "wanted"), [(-1.0, 0.0), (0.1, 0.0), (2.13, 0.0), (3.74, 0.0), (3.75, 1.0), (99.0, 1.0)]
)
def test_the_upper_end_gets_the_gradient_of_what_is_not_below_it_and_no_rounding_error(x, wanted):
    start = per_tensor(0.25, 0, UNSIGNED)  # up to 3.75

    assert slope(PactValues(start), start, x) == pytest.approx(wanted)


def test_a_lower_end_keeps_its_ratio_to_the_upper_and_moves_with_it():
    start = per_tensor(0.25, 5, UNSIGNED)  # from -1.25 to 2.5
    values = PactValues(start)

    assert slope(values, start, 9.0) == pytest.approx(1.0)
    assert slope(values, start, -9.0) == pytest.approx(-0.5)
    with torch.no_grad():
        values.log.fill_(math.log(2.0))
    wished = values.wished()
    assert float(wished.scale) * (15 - wished.zero) == pytest.approx(5.0)
    assert float(wished.scale) * (0 - wished.zero) == pytest.approx(-2.5)


def test_a_grid_without_positive_values_learns_its_lower_end():
    start = per_tensor(0.25, 15, UNSIGNED)
    values = PactValues(start)

    fake_quantize(torch.tensor([-9.0, 9.0]), values.edges(start, 1), Scratch()).sum().backward()

    assert float(values.log.grad) == pytest.approx(-3.75)


def test_the_end_of_a_nearer_clamp_is_not_learned():
    start = per_tensor(0.5, 0, UNSIGNED)  # up to 7.5

    assert not PactValues(start).edges(start, count=1).within((0.0, 6.0)).high.requires_grad
    assert slope(PactValues(start), start, 9.0, clamp=(0.0, math.inf)) == pytest.approx(1.0)


@pytest.mark.parametrize("size", [math.nan, math.inf, -math.inf])
def test_a_wish_that_is_no_scale_is_told_as_it_is(size):
    values = PactValues(per_tensor(0.25, 0))
    with torch.no_grad():
        values.log.fill_(size)

    told = float(values.wished_scale())

    assert math.isnan(told) if math.isnan(size) else told == math.exp(size)
