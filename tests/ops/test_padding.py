"""SAME padding: the least that gives a result for each stride."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.ops.padding import same_margins


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 5), st.integers(1, 3))
def test_same_is_the_least_padding_that_gives_as_many_results_as_strides_fit(
    size, kernel, stride, dilation
):
    reach = (kernel - 1) * dilation + 1
    wanted = len(range(0, size, stride))
    total = 0
    while len(range(0, size + total - reach + 1, stride)) < wanted:
        total += 1

    top, bottom, left, right = same_margins((size, 1), (kernel, 1), (stride, 1), (dilation, 1))

    assert top + bottom == total
    assert bottom - top in (0, 1)  # an odd rest lies behind
    assert (left, right) == (0, 0)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [
        (224, 3, 2, (0, 1)),  # MobileNet's first layer in TensorFlow
        (225, 3, 2, (1, 1)),
        (7, 3, 1, (1, 1)),
        (8, 5, 2, (1, 2)),
        (6, 2, 2, (0, 0)),
        (5, 1, 3, (0, 0)),
    ],
)
def test_same_padding_of_known_layers(size, kernel, stride, expected):
    both = same_margins((size, size), (kernel, kernel), (stride, stride), (1, 1))

    assert both == (*expected, *expected)
