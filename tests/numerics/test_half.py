"""What float16 does to numbers, in closed forms."""

from __future__ import annotations

import torch

from intaglio.numerics.half import half_counts, is_half, rounded_to_half


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
