"""Channels and groups of them: nothing small is hidden behind something large."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(
        [
            (2, 3, 7, 9),
            (1, 5, 23, 4),
            (3, 6, 7, 4),
            (5, 3, 40),
            (4, 40, 3),
            (2, 3, 6, 6, 5),
            (50, 4),
        ]
    ),
    st.floats(-1e4, 1e4),
    st.integers(1, 60),
    st.booleans(),
)
def test_strips_make_no_difference(shape, bias, at_once, is_last):
    real = (random(*shape) + bias).float()
    found = real + 0.1 * random(*shape, seed=1).float()
    if is_last and len(shape) == 4:  # as the twin has its maps in memory
        found = found.contiguous(memory_format=torch.channels_last)
    sums = Deviation()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("intaglio.tasks.deviation.AT_ONCE", at_once)
        sums.add(real, found)

    one, other = (by_channel(value.double()) for value in (real, found))
    apart = one - one.mean(1, keepdim=True)
    # float64 in another order: means of numbers up to 1e4 are right to about 1e-12
    close = {"rtol": 1e-9, "atol": 1e-9}
    assert sums.count == one.shape[1]
    torch.testing.assert_close(sums.mean, one.mean(1), **close)
    torch.testing.assert_close(sums.signal, apart.square().sum(1), **close)
    torch.testing.assert_close(sums.noise, (other - one).square().sum(1), **close)


def test_an_output_that_is_one_number_an_image_is_one_channel():
    real = random(300)

    sums = deviation(real, real + 0.5, pieces=100)

    assert sums.noise.tolist() == pytest.approx([300 * 0.25])
    assert sums.signal.tolist() == pytest.approx([float((real - real.mean()).square().sum())])


def test_what_is_compared_is_not_changed():
    real, found = random(2, 3, 5, 5), random(2, 3, 5, 5, seed=1)
    kept = real.clone(), found.clone()

    deviation(real, found)

    assert torch.equal(real, kept[0])
    assert torch.equal(found, kept[1])


def test_outputs_without_numbers_are_passed_over():
    sums = Deviation()

    sums.add(torch.zeros(0, 3, 5, 5), torch.zeros(0, 3, 5, 5))
    sums.add(torch.zeros(2, 3, 0), torch.zeros(2, 3, 0))

    assert (sums.count, sums.sqnr_db) == (0, math.inf)
