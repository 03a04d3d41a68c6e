"""When in a run something happens."""

from __future__ import annotations

import math

import pytest

from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.learn.schedule import (
    frozen_from,
    measured_after,
    rate_at,
    steps_in,
    steps_of,
)


def test_the_rate_rises_linearly_in_the_warm_up():
    options = TrainOptions(warmup=0.1, schedule="constant")

    rates = [rate_at(step, 40, options) for step in range(6)]

    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_the_cosine_is_at_its_highest_behind_the_warm_up_and_nearly_zero_at_the_end():
    options = TrainOptions(warmup=0.2, schedule="cosine")

    assert rate_at(2, 10, options) == 1.0
    assert rate_at(6, 10, options) == pytest.approx(0.5)
    assert rate_at(9, 10, options) == pytest.approx(0.5 * (1 + math.cos(math.pi * 7 / 8)))


def test_steps_fall_to_a_tenth_at_a_half_and_at_three_quarters():
    options = TrainOptions(warmup=0.0, schedule="step")

    rates = [rate_at(step, 8, options) for step in range(8)]

    assert rates == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_poly_is_a_power_of_what_is_left_behind_the_warm_up():
    options = TrainOptions(warmup=0.2, schedule="poly")

    assert rate_at(2, 10, options) == 1.0
    assert rate_at(6, 10, options) == pytest.approx(0.5**0.9)


@pytest.mark.parametrize("schedule", ["cosine", "poly", "step", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("total", [1, 2, 7])
def test_a_rate_is_a_share_and_never_zero(schedule, warmup, total):
    options = TrainOptions(warmup=warmup, schedule=schedule)

    assert all(0.0 < rate_at(step, total, options) <= 1.0 for step in range(total))


@pytest.mark.parametrize(
    ("epochs", "batch", "steps"),
    [(None, 8, 5), (2.0, 8, 10), (0.5, 8, 2), (0.01, 8, 1), (3, 99, 3)],
)
def test_epochs_are_made_of_whole_batches(epochs, batch, steps):
    assert steps_of(TrainOptions(epochs=epochs, batch=batch), images=43) == steps


def test_measurements_are_spread_evenly_and_the_last_is_at_the_end():
    assert measured_after(10, 4) == {2, 5, 8, 10}
    assert measured_after(3, 9) == {1, 2, 3}
    assert measured_after(10, 0) == set()


def test_batch_norms_are_frozen_behind_a_share_of_the_steps_or_never():
    assert frozen_from(10, TrainOptions(freeze=0.5)) == 5
    assert frozen_from(10, TrainOptions(freeze=0.0)) == 0
    assert frozen_from(10, TrainOptions(freeze=1.0)) is None


def test_minutes_hold_what_fits_beside_measurements_and_at_least_a_step():
    assert steps_in(60.0, 0.5, measuring=10.0) == 100
    assert steps_in(1.0, 5.0, measuring=10.0) == 1
