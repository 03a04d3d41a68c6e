"""What bounds the sums of an integer convolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.numerics.accumulate import FLOAT32_EXACT, exact_float32, largest_partial_sum

quick = settings(max_examples=100, deadline=None)
WEIGHT = st.lists(
    st.lists(st.integers(-127, 127), min_size=6, max_size=6), min_size=1, max_size=4
).map(torch.tensor)
LOW, HIGH = st.integers(-255, 0), st.integers(0, 255)


@quick
@given(WEIGHT, LOW, HIGH, st.integers(0, 2**31))
def test_no_partial_sum_in_any_order_exceeds_the_bound(weight, low, high, seed):
    generator = torch.Generator().manual_seed(seed)
    bound = largest_partial_sum(weight, low, high)

    for _ in range(20):
        inputs = torch.randint(low, high + 1, (6,), generator=generator)
        order = torch.randperm(6, generator=generator)
        partial = (weight * inputs)[:, order].cumsum(1)
        assert bool((partial.abs() <= bound[:, None]).all())


@quick
@given(WEIGHT, LOW, HIGH)
def test_the_bound_is_reached(weight, low, high):
    highest = torch.where(weight > 0, high * weight, low * weight)
    lowest = torch.where(weight > 0, low * weight, high * weight)
    reached = torch.maximum(highest.sum(1), -lowest.sum(1))

    assert torch.equal(largest_partial_sum(weight, low, high), reached.double())


def test_any_shape_behind_the_channels_will_do():
    weight = torch.arange(-12, 12).reshape(2, 3, 2, 2)

    bound = largest_partial_sum(weight, -10, 5)

    assert bound.tolist() == [10 * sum(range(1, 13)), 10 * sum(range(12))]
    assert bound.dtype == torch.float64


def test_below_the_bound_float32_sums_exactly_and_above_it_may_not():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randint(-127, 128, (4, 64, 3, 3), generator=generator)
    inputs = torch.randint(-128, 128, (2, 64, 9, 9), generator=generator)
    assert largest_partial_sum(weight, -128, 127).max() < FLOAT32_EXACT

    with exact_float32():
        found = F.conv2d(inputs.float(), weight.float())
        lost = F.conv2d(inputs.float() + 2**24, torch.ones(1, 64, 3, 3))

    assert torch.equal(found.double(), F.conv2d(inputs.double(), weight.double()))
    exact = F.conv2d(inputs.double() + 2**24, torch.ones(1, 64, 3, 3).double())
    assert not torch.equal(lost.double(), exact)


def test_int8_accumulators_of_66_thousand_products_stay_below_2_to_the_31():
    weight = torch.full((1, 66_000), 127)

    assert largest_partial_sum(weight, -255, 255).item() < 2**31


def test_exact_float32_puts_torchs_settings_back():
    backend = torch.backends.mkldnn
    before = backend.conv.fp32_precision, backend.matmul.fp32_precision

    with exact_float32():
        inside = backend.conv.fp32_precision, backend.matmul.fp32_precision

    assert inside == ("ieee", "ieee")
    assert (backend.conv.fp32_precision, backend.matmul.fp32_precision) == before
