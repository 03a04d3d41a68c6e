"""The limit of a threshold: where a sigmoid reaches it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.maps.limit import score_limit
from intaglio.maps.postprocess import MapPostProcess


def limit(threshold: float, scores: str = "logits") -> np.float32:
    return score_limit(MapPostProcess(2, rule="threshold", scores=scores, threshold=threshold))


def test_a_half_is_reached_at_zero() -> None:
    assert limit(0.5) == 0


def test_at_0_every_logit_counts_and_at_1_none() -> None:
    assert limit(0.0) == -math.inf
    assert limit(1.0) == math.inf


@given(threshold=st.floats(1e-6, 1 - 1e-6))
def test_a_sigmoid_makes_the_threshold_of_it(threshold: float) -> None:
    """The limit is rounded to float32, 6e-8 of its size; a sigmoid's slope is t (1 - t)."""
    made = 1 / (1 + math.exp(-float(limit(threshold))))

    slope = threshold * (1 - threshold)
    assert abs(made - threshold) <= 1e-7 * slope * (1 + abs(float(limit(threshold)))) + 1e-15


@given(threshold=st.floats(0, 1))
def test_a_probability_is_compared_as_it_is(threshold: float) -> None:
    assert limit(threshold, "probabilities") == np.float32(threshold)


@pytest.mark.parametrize("threshold", [0.1, 0.3])
def test_a_threshold_and_its_rest_lie_on_two_sides_of_zero(threshold: float) -> None:
    assert limit(threshold) == pytest.approx(-limit(1 - threshold), abs=1e-6)  # 1 - t is rounded
