"""What float16 does to numbers, in closed forms."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.numerics.half import (
    LARGEST,
    half_counts,
    is_half,
    rounded_to_half,
    rows_rounded_to_half,
)


def test_planted_numbers_are_counted_by_what_float16_does_to_them() -> None:
    found = half_counts(torch.tensor([1e5, -7e4, 1e-6, -3e-5, 1e-9, 0.0, 1.0, 65504.0]))

    assert (found.count, found.overflow, found.subnormal, found.zeros) == (8, 2, 2, 1)
    assert found.largest == 1e5


def test_the_ends_of_float16_belong_to_the_side_that_its_rounding_puts_them_on() -> None:
    exact = half_counts(torch.tensor([65504.0, 2.0**-14, 2.0**-25 * 1.001]))
    beyond = half_counts(torch.tensor([65505.0, 2.0**-14 * 0.999, 2.0**-25]))

    assert (exact.overflow, exact.subnormal, exact.zeros) == (0, 1, 0)  # rounded up to 2**-24
    assert (beyond.overflow, beyond.subnormal, beyond.zeros) == (1, 1, 1)


def test_counts_of_two_sets_add_up() -> None:
    both = half_counts(torch.tensor([1e5, 2.0])) + half_counts(torch.tensor([1e-6]))

    assert both == half_counts(torch.tensor([1e5, 2.0, 1e-6]))


def test_of_no_numbers_nothing_is_counted() -> None:
    assert half_counts(torch.zeros(0)).count == 0


def test_rounding_is_half_to_even_and_is_told_from_what_it_left() -> None:
    numbers = torch.tensor([1.0 + 2.0**-11, 1.0 + 3 * 2.0**-11, 0.1])

    rounded = rounded_to_half(numbers)

    assert rounded[:2].tolist() == [1.0, 1.0 + 2.0**-9]
    assert is_half(rounded)
    assert not is_half(numbers)


@given(st.integers(1, 5), st.integers(1, 300), st.integers(-8, 8), st.integers(0, 2**31))
@settings(max_examples=60)
def test_rows_keep_their_sum_by_one_neighbour_or_the_other(
    rows: int, length: int, power: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn(rows, length, generator=generator) * 10.0**power / 3.0
    numbers = numbers.clamp(-LARGEST, LARGEST)

    made = rows_rounded_to_half(numbers)

    assert is_half(made)
    steps = [torch.nextafter(numbers.half(), torch.full_like(numbers.half(), end)).float()
             for end in (torch.inf, -torch.inf)]  # fmt: skip
    nearest = rounded_to_half(numbers)
    assert bool(((made == nearest) | (made == steps[0]) | (made == steps[1])).all())
    off = [(one.double() - numbers.double()).sum(1).abs() for one in (made, nearest)]
    assert bool((off[0] <= off[1]).all())
    # no free number is left whose step is smaller than twice the error: it would have been taken
    finest = (made.double() - nearest.double() == 0).double() * (steps[0] - steps[1]).double()
    assert float(off[0].max()) <= float(finest.max()) + 1e-30


def test_what_float16_holds_stays_and_nothing_is_rounded_beyond_its_end() -> None:
    held = torch.tensor([[1.0, -2.5, 0.0], [LARGEST, 1.0 + 2.0**-12, -LARGEST]])

    made = rows_rounded_to_half(held)

    assert made[0].tolist() == held[0].tolist()
    assert made[1].tolist()[::2] == [LARGEST, -LARGEST]


def test_a_difference_of_large_weights_is_answered_as_before() -> None:
    row = torch.tensor([[10.003, 20.006, -30.0085]])

    apart = [float((one * 5.0).sum() - (row * 5.0).sum()) for one in (
        rounded_to_half(row), rows_rounded_to_half(row))]  # fmt: skip

    assert abs(apart[1]) < abs(apart[0])
