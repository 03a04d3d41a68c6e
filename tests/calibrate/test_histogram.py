"""A histogram whose bins are few and whose counts are right, whatever comes in whatever order."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.calibrate.histogram import BINS, PERIODS, WHOLE, Histogram, folded, quantile

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)
SIZES = st.lists(st.integers(-40, 40), min_size=1, max_size=6)


def histogram_of(*batches: torch.Tensor) -> Histogram:
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    return histogram


def random(shape, seed=0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(FINITE, min_size=1, max_size=8), min_size=1, max_size=6))
def test_extremes_are_exact_and_every_value_is_counted_within_them(batches):
    values = torch.tensor([value for batch in batches for value in batch])

    histogram = histogram_of(*(torch.tensor(batch) for batch in batches))

    counts, edges = histogram.filled()
    assert (histogram.low, histogram.high) == (values.min(), values.max())
    assert counts.sum() == len(values)
    assert len(counts) <= BINS
    assert edges[0] <= values.min()
    assert values.max() <= edges[-1]


def counts_truly(histogram: Histogram, values: torch.Tensor) -> bool:
    """Whether the counts are those of `values`, but for some right below an edge."""
    counts, edges = histogram.filled()
    ordered = values.double().flatten().sort().values
    most = torch.searchsorted(ordered, edges[1:-1])
    least = torch.searchsorted(ordered, edges[1:-1] - histogram.width / 2**11)
    below = counts.cumsum(0)[:-1]
    return bool(((least <= below) & (below <= most)).all()) and counts.sum() == len(ordered)


@settings(max_examples=50, deadline=None)
@given(SIZES, st.randoms(use_true_random=False))
def test_growing_loses_no_count_and_the_order_of_batches_does_not_matter(exponents, chance):
    batches = [random(500, seed) * 2.0**exponent for seed, exponent in enumerate(exponents)]
    shuffled = list(batches)
    chance.shuffle(shuffled)

    one, other = histogram_of(*batches), histogram_of(*shuffled)

    assert counts_truly(one, torch.cat(batches))
    assert counts_truly(other, torch.cat(batches))
    assert torch.equal(one.filled()[1], other.filled()[1])


def test_at_least_half_of_the_bins_lie_in_the_range():
    for scale in (1.0, 1.01, 1.5, 1.99):
        counts, _ = histogram_of(torch.linspace(-scale, 1.7 * scale, 10**4)).filled()
        assert BINS // 2 - 2 <= len(counts) <= BINS


def test_edges_are_multiples_of_a_power_of_two():
    histogram = histogram_of(random(100) * 3.0)

    _, edges = histogram.filled()

    assert torch.frexp(torch.tensor(histogram.width))[0] == 0.5
    assert torch.equal(edges, (edges / histogram.width).round() * histogram.width)


def test_values_far_from_zero_are_told_apart():
    values = torch.linspace(1000.0, 1001.0, 1001)

    counts, edges = histogram_of(values).filled()

    assert len(counts) > 1000
    assert quantile(counts, edges, 0.5) == pytest.approx(1000.5, abs=0.01)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_reaches_the_extremes_and_stays(bad):
    histogram = histogram_of(torch.zeros(4), torch.tensor([1.0, bad]), torch.ones(4))

    assert not histogram.is_finite()
    assert not torch.stack([histogram.low, histogram.high]).isfinite().all()


def test_the_largest_numbers_of_float32_fit():
    most = torch.finfo(torch.float32).max

    counts, _ = histogram_of(torch.tensor([-most, 1.0, most])).filled()

    assert counts.sum() == 3


def test_zeros_and_subnormal_numbers_are_counted():
    histogram = histogram_of(torch.zeros(5), torch.tensor([1e-45, 1e-40]))
    assert histogram.counts.sum() == 7

    histogram.add(torch.ones(3))

    assert histogram.filled()[0][[0, -1]].tolist() == [7.0, 3.0]


def test_nothing_is_neither_finite_nor_spread():
    histogram = histogram_of(torch.zeros(0, 3))

    assert not histogram.is_finite()
    assert not histogram.has_spread()


def test_an_empty_batch_changes_nothing():
    histogram = histogram_of(torch.tensor([1.0, 2.0]), torch.zeros(0, 3))

    assert histogram.counts.sum() == 2


def test_channels_last_gives_the_same_as_contiguous():
    images = random((3, 5, 8, 6))

    last = histogram_of(images.contiguous(memory_format=torch.channels_last))

    assert torch.equal(last.counts, histogram_of(images).counts)


def test_memory_does_not_grow_with_values():
    histogram = Histogram()

    for seed in range(5):
        histogram.add(random((4, 1000), seed) * 10.0**seed)

    assert histogram.counts.shape == (BINS,)
    assert histogram.counts.untyped_storage().nbytes() == 8 * BINS


def large(channels: int, images: int = 2) -> torch.Tensor:
    """Return smooth channels of very different scale, each with more numbers than are counted."""
    side = 2 + int((WHOLE / channels) ** 0.5)
    rows = torch.linspace(0.0, 20.0, side)
    waves = torch.stack([(rows[:, None] * (1 + c / 9) + rows).sin() for c in range(channels)])
    scaled = waves * torch.linspace(0.1, 3.0, channels)[:, None, None]
    noise = random((images, channels, side, side)) * 0.2
    return (scaled + noise).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("channels", [3, 32, 64, 96, 128, 257, 526])
def test_counting_a_quarter_of_large_values_hardly_moves_a_quantile(channels):
    values = large(channels)

    counts, edges = histogram_of(values).filled()

    assert counts.sum() == pytest.approx(values.numel() / 4, rel=0.03)
    ordered = values.flatten().sort().values
    for share in (0.001, 0.01, 0.5, 0.99, 0.999):
        found = quantile(counts, edges, share)
        reached = torch.searchsorted(ordered, found) / len(ordered)
        # four standard errors of a share of a quarter of the numbers, drawn at random
        noise = 4 * (share * (1 - share) / float(counts.sum())) ** 0.5
        assert float(reached) == pytest.approx(share, abs=noise + 1e-3)


def test_extremes_of_large_values_are_exact_wherever_they_are():
    values = torch.zeros(1, 2 * WHOLE)
    for position in (0, PERIODS[0] - 1, 2 * WHOLE - 1):
        values[0, position] = 5.0
        assert histogram_of(values).high == 5.0
        values[0, position] = 0.0


def test_the_batch_size_does_not_matter_for_large_values():
    values = large(64, images=4)

    together, alone = histogram_of(values), histogram_of(*values.split(1))

    assert torch.equal(together.filled()[1], alone.filled()[1])
    difference = together.filled()[0].cumsum(0) - alone.filled()[0].cumsum(0)
    assert difference.abs().max() <= 1e-4 * float(together.counts.sum())  # values right at an edge


def test_quantiles_of_evenly_spread_values_are_their_shares():
    counts, edges = histogram_of(torch.linspace(-1.0, 3.0, 100_001).reshape(-1, 1)).filled()

    for share in (0.001, 0.25, 0.5, 0.9999):
        assert quantile(counts, edges, share) == pytest.approx(-1.0 + 4.0 * share, abs=1e-3)


def test_folding_counts_magnitudes():
    values = random(10_000)

    counts, edges = folded(*histogram_of(values).filled())

    assert edges[0] == 0.0
    assert counts.sum() == 10_000
    true = torch.histogram(values.abs().double(), edges)[0]
    assert (counts.cumsum(0) - true.cumsum(0)).abs().max() <= 20  # values right at an edge


def test_folding_leaves_magnitudes_as_they_are():
    counts, edges = histogram_of(random(1000).abs()).filled()

    again, bounds = folded(counts, edges)

    assert torch.equal(again[-len(counts) :], counts)
    assert torch.equal(bounds[-len(edges) :], edges)
