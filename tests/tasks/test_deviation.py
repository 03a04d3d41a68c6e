"""Channels and groups of them: nothing small is hidden behind something large."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from intaglio.tasks.deviation import Deviation, by_channel


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def deviation(real: Tensor, found: Tensor, pieces: int = 4) -> Deviation:
    sums = Deviation()
    for one, other in zip(real.split(pieces), found.split(pieces), strict=True):
        sums.add(one, other)
    return sums


@pytest.mark.parametrize(
    ("shape", "channels"),
    [
        ((6,), ()),
        ((6, 4), (1,)),
        ((6, 85, 100), (1,)),
        ((6, 100, 85), (2,)),
        ((6, 21, 8, 8), (1,)),
        ((6, 9, 7, 4), (3,)),
        ((6, 64, 4, 4), (1,)),
        ((6, 3, 8, 8, 5), (1, 4)),
        ((6, 3, 5, 8, 8), (1, 2)),
    ],
)
def test_channels_are_where_each_layout_has_them(shape, channels):
    value = torch.arange(math.prod(shape)).reshape(shape)

    found = by_channel(value)

    first = value[
        (slice(None), *(0 if axis in channels else slice(None) for axis in range(1, len(shape))))
    ]
    assert len(found) == math.prod(shape[axis] for axis in channels)
    assert found[0].sort().values.tolist() == first.reshape(-1).sort().values.tolist()


@pytest.mark.parametrize("axis", [1, 2])
def test_scores_beside_boxes_are_judged_by_themselves(axis):
    sizes = torch.tensor([100.0, 150.0, 80.0, 120.0, 0.3, 0.1, 0.2]).reshape(1, 7, 1)
    real = random(12, 7, 40) * sizes
    found = real + 0.5 * random(12, 7, 40, seed=1)  # one step for all

    sums = deviation(*(value.movedim(1, axis) for value in (real, found)))

    assert [group.sort().values.tolist() for group in sums.groups()] == [[4, 5, 6], [0, 1, 2, 3]]
    alone = deviation(real[:, 4:], found[:, 4:])
    assert sums.lowest_db == pytest.approx(alone.sqnr_db)
    assert sums.lowest_db < 0.0 < 40.0 < sums.sqnr_db


def test_channels_without_a_gap_are_one_group_however_small_the_least():
    sizes = 3.0 ** -torch.arange(8.0).reshape(1, 8)
    real = random(20, 8) * sizes

    assert len(deviation(real, real).groups()) == 1


def test_a_channel_that_does_not_move_is_no_group():
    real = random(20, 3) * torch.tensor([1.0, 2.0, 0.0]) + 5.0

    sums = deviation(real, real + 0.01)

    assert [sorted(group.tolist()) for group in sums.groups()] == [[0, 1]]


def test_memory_is_of_the_channels_alone():
    sums = deviation(random(12, 3, 9, 9), random(12, 3, 9, 9, seed=1))

    assert sums.signal.shape == sums.noise.shape == sums.mean.shape == (3,)
