"""LSQ+: dy/db = 1 outside and 0 inside; dy/ds with the integers themselves outside."""

from __future__ import annotations

import math

import pytest
import torch

from intaglio.errors import RangeError
from intaglio.numerics.spec import QuantParams, QuantSpec, per_tensor
from intaglio.run.fake.fake_quantize import Scratch, fake_quantize
from intaglio.run.fake.lsq import gradient_factor
from intaglio.run.fake.lsq_plus import LsqPlusValues

SPEC = QuantSpec(bits=4)  # -8 to 7


def slopes(values: LsqPlusValues, used: QuantParams, x: float, clamp=None) -> tuple[float, float]:
    """Return dy/ds and dy/db of one value, for a step of 0.25 at the start."""
    values.log.grad = values.shift.grad = None
    edges = values.edges(used, count=1).within(clamp)
    fake_quantize(torch.tensor([x]), edges, Scratch()).sum().backward()
    factor = gradient_factor(1, 7 - used.zero)
    span = 0.25 * 15
    found = (values.log.grad, 0.25), (values.shift.grad, span)
    return tuple(0.0 if one is None else float(one) / (factor * of) for one, of in found)


@pytest.mark.parametrize(
    ("x", "of_step", "of_offset"),
    [
        (0.30, 1 - 1.2, 0.0),
        (-0.60, -2 + 2.4, 0.0),
        (99.0, 7.0, 1.0),
        (-99.0, -8.0, 1.0),
    ],
)
def test_gradients_are_the_paper_s(x, of_step, of_offset):
    start = per_tensor(0.25, -3, SPEC)

    found = slopes(LsqPlusValues(start), start, x)

    assert found == pytest.approx((of_step, of_offset), abs=1e-5)


def test_at_the_start_the_wish_is_the_calibrated_grid():
    for zero in range(-8, 8):
        for scale in (0.1, 0.25, 3e-5, 7.77):
            start = per_tensor(scale, zero, SPEC)
            assert LsqPlusValues(start).wished().same_grid(start)


def test_the_wished_zero_point_is_an_integer_of_the_grid_wherever_the_offset_is():
    values = LsqPlusValues(per_tensor(0.25, -3, SPEC))

    found = []
    for shift in (-9.0, -0.2, -0.1, 0.1, 0.2, 9.0):
        with torch.no_grad():
            values.shift.fill_(shift)
        found.append(values.wished().zero)

    # b = 0.75 + 3.75 shift, zero = -b / 0.25
    assert found == [7, 0, -2, -4, -6, -8]


def test_the_ends_that_count_are_those_of_the_settled_grid():
    values = LsqPlusValues(per_tensor(0.25, -3, SPEC))
    settled = per_tensor(0.2501, -2, SPEC)

    edges = values.edges(settled, count=1)

    assert float(edges.low.detach()) == float(settled.scale * (-8 + 2))
    assert float(edges.high.detach()) == float(settled.scale * (7 + 2))


def test_an_offset_beyond_the_integers_gets_only_gradients_that_lead_back():
    start = per_tensor(0.25, -8, SPEC)  # zero is the lowest integer: b = 2
    values = LsqPlusValues(start)
    with torch.no_grad():
        values.shift.fill_(0.1)  # further up than the grid can go

    _, of_above = slopes(values, start, 99.0)
    edges = values.edges(start, count=1)
    values.shift.grad = None
    (-fake_quantize(torch.tensor([99.0]), edges, Scratch())).sum().backward()

    assert of_above == pytest.approx(1.0)  # to go down the gradient is to go down: back
    assert float(values.shift.grad) == 0.0


def test_values_below_a_relu_do_not_pull_at_the_offset():
    start = per_tensor(0.25, -8, SPEC)
    values = LsqPlusValues(start)

    found = slopes(values, start, -1.0, clamp=(0.0, math.inf))

    assert found == (0.0, 0.0)


@pytest.mark.parametrize("size", [math.nan, math.inf])
def test_an_offset_that_is_none_is_refused_as_a_grid_and_the_scale_told_as_it_is(size):
    values = LsqPlusValues(per_tensor(0.25, 0, SPEC))
    with torch.no_grad():
        values.shift.fill_(size)

    assert float(values.wished_scale()) == 0.25
    with pytest.raises(RangeError, match="no zero point"):
        values.wished()
