"""Weights that jump between two integers are stopped, and others are left alone."""

from __future__ import annotations

import pytest
import torch

from intaglio.errors import RequestError
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.learn.oscillation import DAMPING, EVERY, THRESHOLDS, Oscillation
from methods.tiny_learner import TinyLearner, trained

JUMPS, WALKS = (0, 0, 0, 0), (1, 1, 1, 1)
"""Weights of the convolution of which one turns back and the other moves steadily."""


def oscillation(learner, choice, total=200):
    return Oscillation(learner, TrainOptions(oscillation=choice), total)


def put(learner, place, integer):
    """Let the latent of a weight of the convolution stand for an integer."""
    with torch.no_grad():
        learner.conv[place] = integer * learner.conv_scale[place[0]].exp()


def integer(learner, place):
    return int((learner.conv.detach()[place] / learner.conv_scale.detach()[place[0]].exp()).round())


def moved(learner, found, steps, begin=1):
    """Do steps of a made-up optimizer; return all events, and the integers behind each step."""
    events, seen = [], []
    for step in range(begin, begin + steps):
        put(learner, JUMPS, 10 + step % 3 % 2)  # 11, 10, 10, 11, 10, 10, ...: mean 10.33
        put(learner, WALKS, -100 + step // 2)
        events += found.after_step(step)
        seen.append(tuple(integer(learner, place) for place in (JUMPS, WALKS)))
    return events, seen


def test_a_weight_that_jumps_is_frozen_at_the_integer_nearest_to_its_mean_and_others_are_not():
    learner = TinyLearner()
    put(learner, JUMPS, 10)
    found = oscillation(learner, "freeze")

    events, seen = moved(learner, found, 200)

    jumping = [one for one, _ in seen]
    last = max(step for step, one in enumerate(jumping) if one != 10)
    assert {10, 11} == set(jumping[: last + 1])
    assert 5 < last < 100  # it takes some turns to be sure
    assert [one for _, one in seen] == [-100 + step // 2 for step in range(1, 201)]
    (event,) = events
    assert (event.step, event.what) == (
        200,
        "1 of 128 weights jumped between two integers; 1 frozen, each at the integer nearest to"
        " its mean",
    )


def test_a_weight_that_came_from_far_is_frozen_where_it_jumps_and_not_where_its_mean_lags():
    learner = TinyLearner()
    put(learner, JUMPS, 0)
    found = oscillation(learner, "freeze")

    for step in range(1, 201):
        put(learner, JUMPS, step if step < 50 else 50 + step % 2)
        found.after_step(step)

    assert integer(learner, JUMPS) == 50
    put(learner, JUMPS, 51)
    found.pin()
    assert integer(learner, JUMPS) == 50


def test_a_frozen_weight_follows_its_scale():
    learner = TinyLearner()
    put(learner, JUMPS, 10)
    found = oscillation(learner, "freeze", total=1000)
    moved(learner, found, 150)

    with torch.no_grad():
        learner.conv_scale.add_(0.3)
    moved(learner, found, 2, begin=151)

    wanted = 10 * learner.conv_scale[0].exp()
    assert torch.allclose(learner.conv[JUMPS], wanted)


def test_latents_that_are_taken_over_from_elsewhere_are_pinned_again():
    learner = TinyLearner()
    put(learner, JUMPS, 10)
    found = oscillation(learner, "freeze")
    moved(learner, found, 150)
    other = TinyLearner(seed=1)

    learner.load_state_dict(other.state_dict())
    found.pin()

    assert integer(learner, JUMPS) == 10
    learner.conv.detach()[JUMPS] = other.conv.detach()[JUMPS]
    assert learner.conv.equal(other.conv)


def test_one_turn_or_two_freeze_no_weight_even_at_the_last_step():
    learner = TinyLearner()
    put(learner, JUMPS, 10)
    found = oscillation(learner, "freeze", total=4)

    for step, value in enumerate([10, 11, 10, 11], start=1):
        put(learner, JUMPS, value)
        assert found.after_step(step) == []

    put(learner, JUMPS, 10)
    assert integer(learner, JUMPS) == 10
    assert THRESHOLDS[0] > THRESHOLDS[1]


@pytest.mark.parametrize("choice", ["none", "damp"])
def test_weights_that_jump_are_counted_now_and_then_and_left_as_they_are(choice):
    learner = TinyLearner()
    put(learner, JUMPS, 10)
    found = oscillation(learner, choice, total=40 * EVERY)

    events = []
    for step in range(1, 40 * EVERY + 1):
        put(learner, JUMPS, 10 + step % 2)
        put(learner, WALKS, -100 + step // 4)
        events += found.after_step(step)
        assert integer(learner, JUMPS) == 10 + step % 2

    (event,) = events
    assert event.what.startswith("1 of 128 weights jumped between two integers; ")
    assert ("penalty" in event.what) == (choice == "damp")


@pytest.mark.parametrize("choice", ["freeze", "damp", "none"])
def test_nothing_is_told_where_no_weight_jumps(choice):
    learner = TinyLearner()
    found = oscillation(learner, choice, total=60)
    events = []

    trained(learner, 60, rate=1e-5, after=lambda step, *_: events.extend(found.after_step(step)))

    assert events == []


class FloatLearner(TinyLearner):
    """Has nothing on a grid, until told."""

    grids_known = False

    def weights_on_grids(self):
        return super().weights_on_grids() if self.grids_known else {}


@pytest.mark.parametrize("choice", ["freeze", "damp", "none"])
def test_a_float_network_has_nothing_to_look_at(choice):
    found = oscillation(FloatLearner(), choice, total=2)

    assert found.penalty(1) is None
    assert found.after_step(1) == found.after_step(2) == []
    assert found.tensors() == {}
    found.pin()
    found.restore({})


def test_weights_that_come_to_a_grid_later_are_looked_at_from_then_on():
    learner = FloatLearner()
    found = oscillation(learner, "freeze")
    moved(learner, found, 30)
    learner.grids_known = True

    events, _ = moved(learner, found, 170, begin=31)

    assert len(events) == 1
    assert "; 1 frozen, each" in events[0].what


def test_damping_is_added_more_and_more_and_only_where_it_is_asked_for():
    learner = TinyLearner()
    damped = oscillation(learner, "damp", total=100)
    gaps = []
    for grid in learner.weights_on_grids().values():
        steps = grid.steps().double()
        gaps.append(grid.latent_at(steps - steps.round()).square().sum())

    last, half = damped.penalty(100), damped.penalty(50)

    assert torch.allclose(last.double(), DAMPING * sum(gaps), rtol=1e-3)
    assert torch.allclose(half, last / 2)
    assert damped.penalty(0) is None
    assert oscillation(learner, "freeze").penalty(100) is None
    assert oscillation(learner, "none").penalty(100) is None


def test_damping_draws_weights_to_the_middle_of_their_integers():
    learner = TinyLearner()
    found = oscillation(learner, "damp", total=100)
    optimizer = torch.optim.SGD([learner.conv, learner.linear], 1.0)
    before = learner.weights_on_grids()["conv"].steps().round()

    for _ in range(60):
        optimizer.zero_grad()
        found.penalty(100).backward()
        optimizer.step()

    steps = learner.weights_on_grids()["conv"].steps()
    assert steps.round().equal(before)
    assert float((steps - before).abs().max()) < 1e-3


@pytest.mark.parametrize("choice", ["freeze", "none"])
def test_a_resumed_run_goes_on_exactly(choice):
    learner, total = TinyLearner(), 40 * EVERY
    put(learner, JUMPS, 10)
    found = oscillation(learner, choice, total)
    moved(learner, found, 100)
    kept = found.tensors()
    weights = {name: tensor.clone() for name, tensor in learner.state_dict().items()}
    whole = moved(learner, found, total - 100, begin=101)

    learner.load_state_dict(weights)
    resumed = oscillation(learner, choice, total)
    resumed.restore(kept)

    assert moved(learner, resumed, total - 100, begin=101) == whole
    assert all(tensor.equal(found.tensors()[name]) for name, tensor in resumed.tensors().items())


def test_what_was_kept_does_not_move_with_the_run():
    learner = TinyLearner()
    found = oscillation(learner, "freeze")
    kept = found.tensors()
    before = {name: tensor.clone() for name, tensor in kept.items()}

    moved(learner, found, 60)

    assert all(tensor.equal(before[name]) for name, tensor in kept.items())


def test_the_record_of_another_network_or_of_other_options_is_refused():
    learner = TinyLearner()
    kept = oscillation(learner, "freeze").tensors()

    with pytest.raises(RequestError, match="of other options"):
        oscillation(learner, "none").restore(kept)
    with pytest.raises(RequestError, match="another network"):
        oscillation(learner, "freeze").restore({**kept, "mean": torch.zeros(3)})
