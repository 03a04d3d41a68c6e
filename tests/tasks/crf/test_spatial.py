"""The Gaussian kernel of places: what looking at every pair gives."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from intaglio.tasks.crf.exact import pairs
from intaglio.tasks.crf.kernels import places
from intaglio.tasks.crf.spatial import spatial


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.floats(0.3, 50))
def test_it_is_the_sum_over_every_pair(height, width, xy):
    values = np.random.default_rng(0).random((2, height, width), np.float32)

    summed = spatial((height, width), xy).summed(values)

    exact = pairs(places((height, width)) / np.float32(xy)).summed(values)
    # beyond 5 deviations lie 6e-7 of an axis; float32 sums of hundreds are good to 1e-5
    assert summed == pytest.approx(exact, rel=3e-5)


def test_a_lone_value_spreads_as_a_gaussian():
    values = np.zeros((1, 41, 41), np.float32)
    values[0, 20, 20] = 1

    summed = spatial((41, 41), 3.0).summed(values)

    assert summed[0, 20, 20] == 1
    assert summed[0, 24, 23] == pytest.approx(np.exp(-(16 + 9) / 18), rel=1e-6)
    assert summed[0, 20, 36] == 0  # 16 pixels are more than 5 deviations
