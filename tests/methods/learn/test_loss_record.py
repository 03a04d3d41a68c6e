"""When losses explode, and the many noisy ways in which they do not."""

from __future__ import annotations

import math

import pytest
import torch

from intaglio.methods.learn.loss_record import FIRST, IN_A_ROW, RATE, LossRecord


def exploded_at(losses):
    """Return the index of the first loss with which they have exploded, or None."""
    record = LossRecord()
    return next((index for index, loss in enumerate(losses) if record.add(loss)), None)


def drawn(seed, count=600):
    return torch.rand(count, generator=torch.Generator().manual_seed(seed)).double()


def falling(start=2.5, end=0.4, count=600):
    return torch.linspace(start, end, count).double()


QUIET = {
    "falls, with noise of a tenth": falling() * (0.9 + 0.2 * drawn(0)),
    "small batches: deviation as large as the mean": -falling().log1p() * drawn(1).log(),
    "rises slowly from nothing, as in the warm-up of a trained network": (
        0.05 + 0.3 * torch.linspace(0, 1, 600).double().square() + 0.02 * drawn(2)
    ),
    "mixup: two kinds of batch": 0.3 + 2.0 * (drawn(3) > 0.6) * drawn(4) + 0.1 * drawn(5),
    "distillation: starts at the teacher, exactly": torch.cat(
        [torch.zeros(10).double(), 1e-3 + 0.03 * drawn(6)]
    ),
    "distillation of tiny distances": 1e-5 * (0.5 + drawn(7)),
    "all the same": torch.full((100,), 0.7).double(),
    "an outlier now and then": 0.5 + 60.0 * (drawn(8) > 0.98),
    "negative, as a likelihood may be": -5.0 + drawn(9),
}


@pytest.mark.parametrize("name", QUIET)
def test_a_run_that_is_only_noisy_has_not_exploded(name):
    assert exploded_at(QUIET[name].tolist()) is None


@pytest.mark.parametrize("before", [6, 19, 60, 400])
def test_losses_a_hundred_times_as_large_have_exploded_after_a_few(before):
    losses = [*(0.8 + 0.2 * drawn(1)[:before]).tolist(), *[80.0] * 20]

    assert exploded_at(losses) == before + IN_A_ROW - 1


def test_a_network_that_falls_back_to_chance_has_exploded():
    losses = [*(0.9 + 0.2 * drawn(1)[:100]).tolist(), *[math.log(1000.0)] * 10]

    assert exploded_at(losses) == 100 + IN_A_ROW - 1


def test_losses_that_grow_by_a_tenth_each_step_have_exploded_long_before_they_are_infinite():
    losses = [*(0.9 + 0.2 * drawn(1)[:100]).tolist(), *[1.1**k for k in range(500)]]

    assert losses[exploded_at(losses)] < 200.0


def test_no_loss_is_too_high_that_is_not_above_the_first_ones():
    assert exploded_at([*[7.0] * 30, *[0.01] * 400, *[6.9] * 30]) is None


def test_four_high_losses_are_no_explosion_and_count_as_the_limit_afterwards():
    record = LossRecord()
    for _ in range(FIRST):
        record.add(1.0)
    limit = record.limit

    for loss in [1e6] * (IN_A_ROW - 1):
        assert not record.add(loss)
    record.add(1.0)

    mean = 1.0
    for loss in [limit] * (IN_A_ROW - 1) + [1.0]:
        mean += max(RATE, 1.0 / (FIRST + IN_A_ROW)) * (loss - mean)
    assert record.row == []
    assert abs(record.mean - mean) < 0.05 * (limit - 1.0)


def test_mean_and_variance_of_the_first_losses_are_the_plain_ones():
    losses = drawn(3, 15)
    record = LossRecord()

    for loss in losses.tolist():
        record.add(loss)

    assert math.isclose(record.mean, float(losses.mean()), rel_tol=1e-12)
    assert math.isclose(record.variance, float(losses.var(correction=0)), rel_tol=1e-12)
    assert record.first == record.mean
