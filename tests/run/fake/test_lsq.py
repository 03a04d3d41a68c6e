"""LSQ: the gradient of a step is equation 3 of the paper times 1 / sqrt(N Qp), by hand."""

from __future__ import annotations

import math

import pytest
import torch

from intaglio.numerics.spec import QuantParams, QuantSpec, per_tensor
from intaglio.numerics.ste import snap
from intaglio.run.fake.fake_quantize import Scratch, fake_quantize
from intaglio.run.fake.lsq import LsqValues, LsqWeights


def by_equation_3(x: torch.Tensor, step: float, lowest: int, highest: int) -> torch.Tensor:
    """Return ds x^ / ds of each value, float64, as the paper writes it down."""
    steps = x.double() / step
    inside = steps.round() - steps
    below = torch.full_like(steps, lowest)
    above = torch.full_like(steps, highest)
    return torch.where(steps <= lowest, below, torch.where(steps >= highest, above, inside))


def test_the_gradient_of_a_step_of_values_is_the_paper_s():
    start = per_tensor(0.25, -3, QuantSpec(bits=4))  # integers minus zero: -5 to 10
    values = LsqValues(start)
    x = torch.tensor([0.3, -0.61, 9.0, -9.0, 2.2])
    weights = torch.tensor([1.0, -2.0, 0.5, 0.25, 3.0])

    made = fake_quantize(x, values.edges(start, count=5), Scratch())
    (made * weights).sum().backward()

    wanted = (by_equation_3(x, 0.25, -5, 10) * weights.double()).sum()
    # d step / d log = step
    assert float(values.log.grad) == pytest.approx(
        float(wanted) * 0.25 / math.sqrt(5 * 10), rel=1e-5
    )


def test_the_gradient_of_each_channel_s_step_is_the_paper_s():
    spec = QuantSpec(bits=4, symmetric=True, axis=0, narrow=True)
    steps = torch.tensor([0.25, 0.5])
    start = QuantParams(steps, torch.zeros(2, dtype=torch.int32), spec)
    weight = torch.tensor([[0.3, -0.61, 9.0], [0.3, -9.0, 2.2]])
    ranges = LsqWeights(start, weight)

    step = ranges.step(steps, count=3)
    snap(weight, step.reshape(2, 1), spec.qmin, spec.qmax).sum().backward()

    for channel, size in enumerate(steps.tolist()):
        wanted = by_equation_3(weight[channel], size, -7, 7).sum() * size / math.sqrt(3 * 7)
        assert float(ranges.log.grad[channel]) == pytest.approx(float(wanted), rel=1e-5)


def test_the_grid_that_counts_is_the_settled_one_and_the_wish_is_the_learned_one():
    start, settled = per_tensor(0.25, -3), per_tensor(0.24, -3)
    values = LsqValues(start)
    with torch.no_grad():
        values.log.fill_(math.log(2.0))

    edges = values.edges(settled, count=1)

    assert float(edges.step.detach()) == float(settled.scale)
    assert float(values.wished().scale) == pytest.approx(0.5)
    assert values.wished().zero == -3


@pytest.mark.parametrize("size", [math.nan, math.inf, -math.inf])
def test_a_wish_that_is_no_scale_is_told_as_it_is(size):
    values = LsqValues(per_tensor(0.25, 0))
    with torch.no_grad():
        values.log.fill_(size)

    told = float(values.wished_scale())

    assert math.isnan(told) if math.isnan(size) else told == math.exp(size)
