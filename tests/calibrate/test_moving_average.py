"""The weighted mean of the images' extremes: closed forms, and within the full range."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.calibrate import CALIBRATORS
from intaglio.calibrate.minmax import MinMax
from intaglio.calibrate.moving_average import MovingAverage
from intaglio.numerics.spec import INT8_ACTIVATION, QuantSpec

IMAGES = st.lists(
    st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=3, max_size=3),
    min_size=1,
    max_size=12,
)


def ranged(calibrator, batches) -> tuple[float, float]:
    for batch in batches:
        calibrator.observe(batch)
    low, high = calibrator.range()
    return low.item(), high.item()


@settings(max_examples=100, deadline=None)
@given(IMAGES)
def test_the_range_lies_within_the_full_one(values):
    images = torch.tensor(values)

    low, high = ranged(MovingAverage(), [images])

    full_low, full_high = ranged(MinMax(), [images])
    assert full_low <= low <= high <= full_high


@settings(max_examples=50, deadline=None)
@given(IMAGES, st.integers(1, 5))
def test_the_batch_size_does_not_matter(values, size):
    images = torch.tensor(values)

    assert ranged(MovingAverage(), images.split(size)) == ranged(MovingAverage(), [images])


def test_images_are_weighted_by_powers_of_the_decay():
    lows, highs = torch.randn(2, 9, dtype=torch.float64).sort(0).values
    images = torch.stack([lows, highs], 1).float()

    low, high = ranged(MovingAverage(decay=0.9), [images])

    weights = 0.9 ** torch.arange(8, -1, -1, dtype=torch.float64)  # the last image counts most
    expected = (images.double() * weights[:, None]).sum(0) / weights.sum()
    assert (low, high) == pytest.approx(tuple(expected.tolist()), rel=1e-6)  # returned in float32


def test_the_first_image_alone_has_its_own_range():
    assert ranged(MovingAverage(), [torch.tensor([[-2.0, 0.5, 3.0]])]) == (-2.0, 3.0)


def test_equal_images_have_exactly_their_range():
    third = torch.tensor(1 / 3).item()

    assert ranged(MovingAverage(), [torch.full((50, 2), 1 / 3)] * 4) == (third, third)


def test_one_outlier_in_a_hundred_moves_the_range_by_a_hundredth():
    images = torch.ones(100, 2)
    images[-1, 0] = 1000.0

    low, high = ranged(MovingAverage(), [images])

    share = 0.01 / (1 - 0.99**100)  # of the last image
    assert low == pytest.approx(1.0)
    assert high == pytest.approx(1.0 + 999.0 * share, rel=1e-6)


def test_channels_last_gives_the_same_as_contiguous():
    images = torch.randn(3, 5, 4, 6, generator=torch.Generator().manual_seed(0))

    last = images.contiguous(memory_format=torch.channels_last)

    assert ranged(MovingAverage(), [last]) == ranged(MovingAverage(), [images])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_reach_the_range(bad):
    images = torch.zeros(6, 3)
    images[2, 1] = bad

    low, high = ranged(MovingAverage(), [images, torch.zeros(5, 3)])

    assert not torch.tensor([low, high]).isfinite().all()


def test_without_an_image_the_range_is_empty():
    assert ranged(MovingAverage(), []) == (float("inf"), float("-inf"))


def test_memory_is_three_numbers_and_the_decay():
    calibrator = CALIBRATORS["moving-average"](INT8_ACTIVATION)

    ranged(calibrator, [torch.randn(8, 1000)] * 3)

    held = {name: type(value) for name, value in vars(calibrator).items()}
    assert held == {"spec": QuantSpec} | dict.fromkeys(("decay", "low", "high", "weight"), float)
