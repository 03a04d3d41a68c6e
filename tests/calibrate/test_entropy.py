"""The range of least divergence: the same as bin by bin, and never beyond the values."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.calibrate.entropy import Entropy, best_threshold, divergences
from intaglio.calibrate.histogram import Histogram
from intaglio.numerics.spec import INT8_ACTIVATION, INT8_WEIGHT_PER_TENSOR, QuantSpec

COUNTS = st.lists(st.integers(0, 9), min_size=8, max_size=30).filter(any)


def divergence(counts: list[float], start: int, stop: int, levels: int) -> float:
    """Return KL(P || Q) bin by bin, as the papers tell it."""
    size, total = stop - start, sum(counts)
    p = counts[start:stop]
    kept = list(p)
    p[0] += sum(counts[:start])
    p[-1] += sum(counts[stop:])
    edges = [(2 * level * size + levels) // (2 * levels) for level in range(levels + 1)]
    q = [0.0] * size
    for left, right in itertools.pairwise(edges):
        filled = [index for index in range(left, right) if kept[index]]
        for index in filled:
            q[index] = sum(kept[left:right]) / len(filled)
    if any(mass and not other for mass, other in zip(p, q, strict=True)):
        return float("inf")
    return sum(
        mass / total * math.log((mass / total) / (other / sum(q)))
        for mass, other in zip(p, q, strict=True)
        if mass
    )


def ranged(values: torch.Tensor, spec: QuantSpec = INT8_ACTIVATION) -> tuple[float, float]:
    calibrator = Entropy(spec)
    calibrator.observe(values)
    low, high = calibrator.range()
    return low.item(), high.item()


def random(shape, seed=0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=200, deadline=None)
@given(COUNTS, st.data())
def test_sums_from_the_left_give_the_divergence_bin_by_bin(counts, data):
    levels = data.draw(st.integers(2, 6))
    start = data.draw(st.integers(0, len(counts) - levels))
    stop = data.draw(st.integers(start + levels, len(counts)))

    found = divergences(
        torch.tensor(counts).double(), torch.tensor([start]), torch.tensor([stop]), levels
    )

    assert found.item() == pytest.approx(divergence(counts, start, stop, levels), abs=1e-9)


def test_the_best_of_all_thresholds_is_found_for_magnitudes():
    counts = torch.histogram(random(20_000).abs(), 200, range=(0.0, 5.0))[0].double()
    values = counts.tolist()
    values[0] = values[1]  # exact zeros do not count

    found = best_threshold(counts, 0, 8)

    kl = {stop: divergence(values, 0, stop, 8) for stop in range(8, 201)}
    assert kl[int(found)] <= min(kl.values()) + 1e-12


@pytest.mark.parametrize("spec", [INT8_ACTIVATION, INT8_WEIGHT_PER_TENSOR, QuantSpec(bits=4)])
def test_the_clip_is_at_most_the_maximum(spec):
    for seed in range(5):
        values = random((10, 1000), seed).pow(3)

        low, high = ranged(values, spec)

        assert values.min() <= low < high <= values.max()


def test_few_levels_clip_more_than_many():
    values = random((100, 1000))

    clips = [ranged(values, QuantSpec(bits=bits, symmetric=True))[1] for bits in (3, 4, 6)]

    assert clips == sorted(clips)
    assert clips[0] < 3.5
    assert clips[0] < values.max()


def test_both_signs_are_clipped_at_one_magnitude_and_one_sign_at_its_far_end():
    heavy = random((100, 1000)).pow(3)
    spec = QuantSpec(bits=4)

    low, high = ranged(heavy, spec)

    assert low == pytest.approx(-high)
    assert high < heavy.max()
    assert ranged(heavy.abs(), spec)[0] == heavy.abs().min()
    assert ranged(heavy.abs(), spec)[1] < heavy.max()


def test_a_spike_of_zeros_changes_little():
    values = random((100, 1000)).abs()

    many_zeros = torch.cat([values, torch.zeros(900, 1000)])

    alone = ranged(values, QuantSpec(bits=4))[1]
    assert ranged(many_zeros, QuantSpec(bits=4))[1] == pytest.approx(alone, rel=0.02)


def test_a_spike_at_the_top_is_not_clipped():
    values = (random((100, 1000)) * 4.0).clamp(0.0, 6.0)

    assert ranged(values) == (0.0, 6.0)


def test_the_histogram_is_left_as_it_was():
    calibrator = Entropy()
    calibrator.observe(random((10, 1000)).relu())
    before = calibrator.histogram.counts.clone()

    calibrator.range()

    assert torch.equal(calibrator.histogram.counts, before)


def test_a_grid_finer_than_the_histogram_keeps_the_full_range():
    values = random((10, 100))

    assert ranged(values, QuantSpec(bits=16)) == (values.min(), values.max())


def test_values_far_from_zero_keep_a_range():
    histogram = Histogram()
    values = 1000.0 + random((10, 100)).sigmoid()
    histogram.add(values)

    low, high = ranged(values)

    assert values.min() <= low <= high <= values.max()
