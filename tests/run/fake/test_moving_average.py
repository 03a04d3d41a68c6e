"""Moving averages of the smallest and largest values, by their closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from intaglio.errors import RangeError, RequestError
from intaglio.numerics.spec import QuantSpec, per_tensor
from intaglio.run.fake.moving_average import DECAY, MovingAverageValues
from run.fake.deployed import architecture, of_module, train_steps

SPEC = QuantSpec(bits=4, signed=False)


def step(values: MovingAverageValues, *batches: torch.Tensor, bounds=None) -> None:
    """Let a range see the values of one step."""
    for batch in batches:
        values.observe(batch, bounds)
    values.follow(*values.seen())


def test_after_k_equal_batches_what_is_left_of_the_start_is_the_decay_to_the_k():
    values = MovingAverageValues(per_tensor(0.5, 5, SPEC))  # from -2.5 to 5

    for _ in range(30):
        step(values, torch.tensor([-1.0, 0.0, 9.0]))

    left = DECAY**30
    assert float(values.low) == pytest.approx(-1.0 + left * (-2.5 + 1.0), rel=1e-5)
    assert float(values.high) == pytest.approx(9.0 + left * (5.0 - 9.0), rel=1e-5)
    span = float(values.high - values.low)
    assert float(values.wished_scale()) == pytest.approx(span / 15, rel=1e-6)
    assert float(values.wished().scale) == pytest.approx(span / 15, rel=1e-6)


def test_values_that_share_a_grid_are_seen_together_in_a_step():
    together, apart = (MovingAverageValues(per_tensor(0.5, 5, SPEC)) for _ in range(2))
    one, other = torch.tensor([-8.0, 1.0]), torch.tensor([0.0, 20.0])

    step(together, one, other)
    step(apart, torch.cat([one, other]))

    assert together.low == apart.low
    assert together.high == apart.high


def test_values_are_seen_behind_the_clamp_that_is_still_to_come():
    values = MovingAverageValues(per_tensor(0.5, 0, SPEC))
    values.observe(torch.tensor([-8.0, 20.0]), (0.0, 6.0))

    assert [float(one) for one in values.seen()] == [0.0, 6.0]


def test_a_range_away_from_zero_is_widened_to_it():
    values = MovingAverageValues(per_tensor(0.5, 0, SPEC))
    for _ in range(2000):
        step(values, torch.tensor([3.0, 6.0]))

    assert float(values.low) == pytest.approx(3.0, rel=1e-3)
    assert values.wished().zero == 0
    assert float(values.wished_scale()) == pytest.approx(6.0 / 15, rel=1e-3)


def test_a_process_without_images_has_seen_nothing_and_moves_nothing():
    values = MovingAverageValues(per_tensor(0.5, 5, SPEC))
    before = float(values.low), float(values.high)

    step(values, torch.zeros(0, 3))

    assert (float(values.low), float(values.high)) == before


class Other:
    """What another process, that has seen from -3 to 30, tells this one."""

    def summed(self, values):
        return values

    def lowest(self, values):
        return values.clamp(max=-3.0)

    def highest(self, values):
        return values.clamp(min=30.0)


def test_ranges_are_those_of_all_processes_together():
    network = of_module(nn.Sequential(nn.Conv2d(3, 2, 1)).eval(), torch.rand(2, 3, 4, 4)).trainable(
        "moving-average"
    )
    network.together = Other()
    values = network.value_grids.observing
    before = [(float(one.low), float(one.high)) for one in values]

    network(torch.rand(2, 3, 4, 4))

    for one, (low, high) in zip(values, before, strict=True):
        assert float(one.low) == pytest.approx(low + (1 - DECAY) * (-3.0 - low), rel=1e-4)
        assert float(one.high) == pytest.approx(high + (1 - DECAY) * (30.0 - high), rel=1e-4)


@pytest.mark.parametrize("size", [math.nan, math.inf])
def test_a_range_that_is_none_is_refused_as_a_grid_and_the_scale_told_as_it_is(size):
    values = MovingAverageValues(per_tensor(0.5, 5, SPEC))
    step(values, torch.tensor([0.0, size]))

    told = float(values.wished_scale())

    assert math.isnan(told) if math.isnan(size) else told == size
    with pytest.raises(RangeError):
        values.wished()


def test_in_the_delay_values_are_seen_and_not_rounded_and_afterwards_they_are():
    ready = architecture("squeezenet")
    late, plain = ready.trainable("moving-average", observer_delay=2), ready.trainable("fixed")
    grids = late.value_grids
    at_start = {name: float(one.high) for name, one in grids.ranges.items() if one.observes}

    outputs = [late(ready.images)[0].detach() for _ in range(3)]

    rounded = plain(ready.images)[0].detach()
    grid = grids.used(late.graph.outputs[0])
    off_grid = [(one / grid.scale - (one / grid.scale).round()).abs().max() for one in outputs]
    assert float(off_grid[0]) > 0.1
    assert float(off_grid[1]) > 0.1
    assert float(off_grid[2]) < 1e-3
    assert (outputs[2] - rounded).abs().max() <= 2 * grid.scale
    moved = {name: float(one.high) for name, one in grids.ranges.items() if one.observes}
    assert any(moved[name] != high for name, high in at_start.items())


def test_measured_in_the_delay_it_is_on_its_grids():
    ready = architecture("squeezenet")
    network = ready.trainable("moving-average", observer_delay=9)
    network(ready.images)

    network.eval()
    found = network(ready.images)[0].detach()

    scale = network.value_grids.used(network.graph.outputs[0]).scale
    assert float((found / scale - (found / scale).round()).abs().max()) < 1e-3


def test_ranges_that_are_held_neither_move_nor_count_steps():
    ready = architecture("squeezenet")
    network = ready.trainable("moving-average")
    train_steps(network, ready.images, 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}

    network.observes = False
    network(ready.images * 3.0)

    after = network.state_dict()
    same = [name for name in before if torch.equal(before[name], after[name])]
    assert set(before) == set(same)


def test_a_delay_of_a_method_that_observes_nothing_is_refused():
    with pytest.raises(RequestError, match=r"observer_delay is 5, but the method 'lsq'"):
        architecture("squeezenet").trainable("lsq", observer_delay=5)
