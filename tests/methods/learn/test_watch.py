"""A run that watches itself: planted trouble is named, and a sound run is not disturbed."""

from __future__ import annotations

import json
import math

import pytest
import torch

from intaglio.errors import RequestError
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.learn.watch import EVERY, Watch
from methods.tiny_learner import TinyLearner, trained

NAN = math.nan


def watching(learner, start=0.5, **options):
    return Watch(TrainOptions(**options), start, learner)


def first_reason(watch, learner, steps=EVERY, loss=1.0, begin=1):
    """Return the first reason in some steps of a constant loss, and its step."""
    for step in range(begin, begin + steps):
        reason = watch.after_step(step, loss, learner)
        if reason is not None:
            return reason, step
    return None, None


def test_a_sound_run_is_not_disturbed_and_nothing_is_told():
    learner = TinyLearner()
    watch = watching(learner)
    reasons = []

    trained(learner, 100, after=lambda *facts: reasons.append(watch.after_step(*facts)))

    assert reasons == [None] * 100
    assert watch.events == []
    assert watch.after_measurement(100, 0.6) is None


@pytest.mark.parametrize("loss", [NAN, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_seen_at_once(loss):
    learner = TinyLearner()

    reason = watching(learner).after_step(3, loss, learner)

    assert reason == f"the loss of step 3 is {loss}"


def test_a_step_a_hundred_times_as_long_is_noticed():
    learner = TinyLearner()
    watch = watching(learner)
    found = []

    def look(step, loss, learner):
        if reason := watch.after_step(step, loss, learner):
            found.append((step, reason))
        if step == 30:
            with torch.no_grad():
                learner.linear.mul_(100.0)
                learner.linear_scale.add_(math.log(50.0))  # still within what a scale may move
                learner.gain.mul_(100.0)
                learner.value_scale.add_(math.log(50.0))

    trained(learner, 40, rate=1e-7, after=look)

    assert found[0][0] == 35  # the fifth high loss in a row
    assert found[0][1].startswith("the loss exploded: from ")


@pytest.mark.parametrize(
    ("planted", "name"),
    [
        ("conv", "a parameter of weights, 'conv'"),
        ("bias", "a parameter of norms, 'bias'"),
        ("value_scale", "a parameter of scales, 'value_scale'"),
        ("variance", "the running statistics of 'norm'"),
    ],
)
@pytest.mark.parametrize("value", [NAN, math.inf])
def test_a_number_that_is_not_finite_is_named(planted, name, value):
    learner = TinyLearner()
    watch = watching(learner)
    with torch.no_grad():
        getattr(learner, planted).flatten()[0] = value  # [1] of a view writes through

    reason, step = first_reason(watch, learner)

    assert reason == f"{name} has NaN or infinity in it"
    assert step == EVERY


def test_a_gradient_with_nan_is_named_but_not_in_half_precision_whose_scaler_skips_it():
    learner = TinyLearner()
    learner.linear.grad = torch.full_like(learner.linear, NAN)

    reason = watching(learner).examine(1, learner)

    assert reason == "the gradient of a parameter of weights, 'linear' has NaN or infinity in it"
    assert watching(learner, precision="fp16").examine(1, learner) is None
    assert watching(learner, precision="bf16").examine(1, learner) == reason


def test_large_numbers_whose_sum_overflows_are_finite():
    learner = TinyLearner()
    with torch.no_grad():
        learner.conv.fill_(3e38)

    assert watching(learner).examine(1, learner) is None


@pytest.mark.parametrize("factor", [1e-9 / 0.02, 1.0 / 101.0, 101.0])
def test_a_scale_that_dies_or_explodes_is_named(factor):
    learner = TinyLearner()
    watch = watching(learner)
    with torch.no_grad():
        learner.value_scale.add_(math.log(factor))

    reason, step = first_reason(watch, learner)

    assert reason == f"the scale of 'values' went from 0.02 at the start to {0.02 * factor:.4g}"
    assert step == EVERY


def test_a_scale_that_is_zero_is_named_even_if_it_was_so_from_the_start():
    learner = TinyLearner()
    with torch.no_grad():
        learner.value_scale.fill_(-200.0)

    reason = watching(learner).examine(1, learner)

    assert reason == "the scale of 'values' went from 0 at the start to 0"


@pytest.mark.parametrize("factor", [1.0 / 99.0, 99.0])
def test_a_scale_that_moves_less_is_left_alone(factor):
    learner = TinyLearner()
    watch = watching(learner)
    with torch.no_grad():
        learner.value_scale.add_(math.log(factor))

    assert first_reason(watch, learner) == (None, None)
    assert watch.events == []


def test_a_dead_channel_is_told_once_and_the_run_goes_on():
    learner = TinyLearner()
    watch = watching(learner)
    with torch.no_grad():
        learner.conv_scale[2] -= math.log(1000.0)

    assert first_reason(watch, learner, 3 * EVERY) == (None, None)

    assert [event.step for event in watch.events] == [EVERY]
    assert watch.events[0].what.startswith(
        "scales of 1 of 4 channels of 'conv.weight' went astray, that of channel 2 from "
    )


def test_a_weight_whose_channels_are_all_dead_is_a_reason_and_so_is_infinity_in_one():
    dead, broken = TinyLearner(), TinyLearner()
    watch_dead, watch_broken = watching(dead), watching(broken)
    with torch.no_grad():
        dead.conv_scale.sub_(math.log(1000.0))
        broken.conv_scale[1] = 1000.0  # finite; its exponential is not

    assert "4 of 4 channels of 'conv.weight'" in watch_dead.examine(1, dead)
    assert "that of channel 1 from" in watch_broken.examine(1, broken)


def test_several_dead_scales_are_counted():
    learner = TinyLearner()
    watch = watching(learner)
    with torch.no_grad():
        learner.value_scale.sub_(10.0)
        learner.linear_scale.sub_(10.0)

    assert watch.examine(1, learner).endswith("(and 1 more)")


def test_while_ranges_are_observed_scales_are_not_judged_and_losses_begin_anew_afterwards():
    learner = TinyLearner()
    watch = watching(learner, observer_delay=30)
    for step in range(1, 31):
        assert watch.after_step(step, 0.1, learner) is None
    with torch.no_grad():
        learner.value_scale.add_(10.0)  # ranges are settled at last

    assert first_reason(watch, learner, 40, loss=50.0, begin=31) == (None, None)

    with torch.no_grad():
        learner.value_scale.sub_(5.0)
    assert first_reason(watch, learner, EVERY, loss=50.0, begin=71)[0] is not None


def test_measurements_below_the_start_count_in_a_row():
    watch = watching(TinyLearner(), 0.7, patience=2)

    assert watch.after_measurement(10, 0.69) is None
    assert watch.after_measurement(20, 0.7) is None
    assert watch.after_measurement(30, 0.6) is None
    reason = watch.after_measurement(40, NAN)

    assert reason == "nan at step 40 is below 0.7 of the start, in 2 measurements in a row"
    assert watching(TinyLearner(), 0.7, patience=1).after_measurement(10, 0.6) is not None
    assert watching(TinyLearner(), NAN).after_measurement(10, 0.6) is None


def test_going_back_forgets_the_losses_and_measurements_that_were_given_up():
    learner = TinyLearner()
    watch = watching(learner, patience=2)
    first_reason(watch, learner, 19)
    for step in range(20, 24):
        watch.after_step(step, 1e6, learner)
    watch.after_measurement(24, 0.1)

    watch.after_rollback()

    assert watch.after_measurement(30, 0.1) is None
    assert first_reason(watch, learner, 4, loss=1e6, begin=31) == (None, None)


def test_a_resumed_run_goes_on_exactly_from_plain_json():
    learner = TinyLearner()
    watch = watching(learner, patience=2)
    first_reason(watch, learner, 27, loss=0.9)
    for step in range(28, 32):
        watch.after_step(step, 90.0, learner)  # four of five high losses
    watch.after_measurement(31, 0.1)
    with torch.no_grad():
        learner.conv_scale[0] += 10.0
    watch.examine(31, learner)
    facts = json.loads(json.dumps(watch.facts(), allow_nan=False))

    resumed = watching(learner, patience=2)  # its own start would be the moved scales
    resumed.restore(facts)

    assert resumed.facts() == watch.facts()
    assert len(resumed.events) == 1
    assert resumed.after_step(32, 90.0, learner) == watch.after_step(32, 90.0, learner) is not None
    assert resumed.after_measurement(33, 0.1) == watch.after_measurement(33, 0.1) is not None
    assert resumed.examine(40, learner) is None
    assert len(resumed.events) == 1  # told before


def test_a_start_that_is_not_finite_survives_json():
    learner = TinyLearner()
    with torch.no_grad():
        learner.value_scale.fill_(NAN)
    watch = watching(learner)

    watch.restore(json.loads(json.dumps(watch.facts(), allow_nan=False)))

    assert "value_scale" in watch.examine(1, learner)


@pytest.mark.parametrize("facts", [{}, {"losses": 3}, {"losses": {"of": 1}}])
def test_facts_that_are_not_a_watchs_are_refused(facts):
    with pytest.raises(RequestError, match="start the run anew"):
        watching(TinyLearner()).restore(facts)
