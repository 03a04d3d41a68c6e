"""The full range, exactly, whatever the batches and the order in memory."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.calibrate import CALIBRATORS
from intaglio.calibrate.minmax import MinMax
from intaglio.numerics.spec import INT8_ACTIVATION

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)


def ranged(*batches: torch.Tensor) -> tuple[float, float]:
    calibrator = MinMax()
    for batch in batches:
        calibrator.observe(batch)
    low, high = calibrator.range()
    return low.item(), high.item()


@settings(max_examples=50, deadline=None)
@given(st.lists(FINITE, min_size=1, max_size=40), st.integers(1, 7))
def test_the_range_is_the_least_and_the_largest_value_whatever_the_batch_size(values, size):
    images = torch.tensor(values).reshape(-1, 1)

    assert ranged(*images.split(size)) == (min(values), max(values))


def test_channels_last_gives_the_same_as_contiguous():
    images = torch.randn(3, 5, 4, 6, generator=torch.Generator().manual_seed(0))

    last = images.contiguous(memory_format=torch.channels_last)

    assert ranged(last) == ranged(images)


def test_values_of_any_rank_and_order_in_memory_are_seen():
    values = torch.arange(24.0).reshape(2, 3, 4)

    assert ranged(values.transpose(1, 2)) == (0.0, 23.0)
    assert ranged(values.flatten(1)[:, ::5]) == (0.0, 22.0)
    assert ranged(values.reshape(2, 3, 2, 2)[:, 1:]) == (4.0, 23.0)


def test_a_constant_has_the_range_of_one_value():
    assert ranged(torch.full((2, 3), 0.1)) == (torch.tensor(0.1).item(),) * 2


def test_nan_and_infinity_reach_the_range():
    whole = torch.zeros(4)

    assert all(bound != bound for bound in ranged(whole, torch.tensor([1.0, torch.nan]), whole))
    assert ranged(whole, torch.tensor([torch.inf])) == (0.0, float("inf"))


def test_memory_is_two_numbers_however_many_values_were_seen():
    calibrator = MinMax()

    for _ in range(3):
        calibrator.observe(torch.randn(2, 1000))

    assert set(vars(calibrator)) == {"spec", "low", "high"}
    assert [bound.untyped_storage().nbytes() for bound in calibrator.range()] == [4, 4]


def test_it_is_filed_under_its_name_and_each_call_makes_a_fresh_one():
    first, second = (CALIBRATORS["minmax"](INT8_ACTIVATION) for _ in range(2))

    first.observe(torch.ones(1))

    assert isinstance(first, MinMax)
    assert second.range()[0].item() == float("inf")
