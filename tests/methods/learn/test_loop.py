"""The loop: what is learned, when it goes back, and which state is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import pytest
import torch

from intaglio.errors import DataError, NonFiniteError, RequestError, UnsupportedByTarget
from intaglio.methods.learn.learner import SCALES
from intaglio.methods.learn.loop import learn
from intaglio.methods.learn.options import TrainOptions
from methods.learn.tiny import (
    TensorSamples,
    TinyLearner,
    are_same,
    done,
    held_out_figure,
    images_and_labels,
    lesson,
    measured_as,
    weights,
)


def said(learned):
    return [event.what for event in done(learned)]


def test_a_network_learns():
    given = lesson(epochs=10.0)

    learned = learn(given)

    assert learned.last > learned.start + 0.3
    assert learned.last == given.measured()
    assert learned.best >= learned.last
    assert (learned.steps, learned.epochs, learned.rolled_back) == (50, 10.0, False)
    assert done(learned) == []
    assert learned.seconds > 0.0


@pytest.mark.parametrize(
    "options",
    [{}, {"optimizer": "adamw", "lr": 0.01}, {"mixup": 0.3, "flip": True}, {"precision": "bf16"}],
)
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(options):
    states = []
    for seed in (3, 3, 4):
        given = lesson(seed=seed, **options)
        learn(given)
        states.append(weights(given.learner))

    assert are_same(states[0], states[1])
    assert not are_same(states[0], states[2])


def test_what_was_drawn_before_changes_nothing_and_what_is_drawn_after_is_not_changed():
    first, second = lesson(), lesson()
    torch.manual_seed(1)
    learn(first)
    drawn = torch.rand(3)
    torch.manual_seed(1)

    assert torch.equal(torch.rand(3), drawn)
    torch.rand(100)
    learn(second)
    assert are_same(weights(first.learner), weights(second.learner))


def test_a_network_without_batch_norms_or_scales_learns_too():
    learner = TinyLearner()
    learner.freeze_norms()
    learner.scale.requires_grad_(False)
    groups = learner.groups()
    learner.groups = lambda: {**groups, SCALES: []}
    given = lesson(learner)

    learned = learn(given)

    assert learned.last > learned.start
    assert float(learner.scale) == 0.0


def test_measuring_changes_nothing_that_is_learned_once_norms_are_frozen():
    ends = []
    for evaluations in (1, 4):
        given = lesson(evaluations=evaluations, freeze=0.0)
        learn(given)
        ends.append(weights(given.learner))

    assert are_same(*ends)


def test_a_start_that_is_known_is_not_measured_again():
    given = measured_as(replace(lesson(), start=1.0), [2.0, 3.0])

    learned = learn(given)

    assert (learned.start, learned.last, learned.best) == (1.0, 3.0, 3.0)


def test_nothing_is_measured_where_nothing_is_to_be():
    given = measured_as(lesson(evaluations=0), [])
    before = weights(given.learner)

    learned = learn(given)

    assert (learned.start, learned.last, learned.best) == (None, None, None)
    assert not learned.rolled_back
    assert not are_same(before, weights(given.learner))


def test_a_run_that_ends_below_its_start_leaves_the_best_state():
    given = measured_as(lesson(patience=9), [5.0, 7.0, 4.0])

    learned = learn(given)

    assert learned.rolled_back
    assert (learned.start, learned.last, learned.best) == (5.0, 4.0, 7.0)
    assert said(learned) == [
        "the last measurement, 4, is below the start, 5: the state after step 5 is kept, with 7"
    ]
    assert not bool(given.learner.frozen)  # norms were frozen after step 6


def test_a_run_that_only_lost_leaves_the_network_as_it_was():
    given = measured_as(lesson(patience=9, ema=0.5), [5.0, 1.0, math.nan])
    before = weights(given.learner)

    learned = learn(given)

    assert learned.rolled_back
    assert are_same(before, weights(given.learner))
    assert "the state after step 0 is kept" in said(learned)[-1]


def test_a_last_state_that_is_below_the_best_but_not_the_start_is_kept():
    given = measured_as(lesson(), [5.0, 7.0, 6.0])

    learned = learn(given)

    assert not learned.rolled_back
    assert done(learned) == []


def test_measurements_below_the_start_lower_the_rate_and_go_back_once():
    figures = [5.0, 6.0, 1.0, 2.0, 7.0, 8.0]
    given = measured_as(lesson(evaluations=5, patience=2, epochs=2.0), figures)

    learned = learn(given)

    assert not learned.rolled_back
    assert [event.step for event in done(learned)] == [6]
    assert "back to the state after step 2, and on with a tenth of the rate" in said(learned)[0]
    assert learned.steps == 10


def test_the_second_time_training_ends_with_the_best_state():
    figures = [5.0, 6.0, 1.0, 2.0, 1.0, 2.0, 9.0]
    given = measured_as(lesson(evaluations=10, patience=2, freeze=1.0), figures)

    learned = learn(given)

    assert learned.rolled_back
    assert [event.step for event in done(learned)] == [3, 5, 5]
    assert learned.steps == 5
    assert "the state after step 1 is kept, with 6" in said(learned)[-1]


def test_behind_a_rollback_the_best_state_is_kept_if_the_last_is_below_it():
    given = measured_as(lesson(evaluations=5, patience=2), [5.0, 8.0, 1.0, 2.0, 7.0, 7.0])

    learned = learn(given)

    assert learned.rolled_back
    assert (
        "training went back, and the last measurement, 7, is below the best, 8" in said(learned)[-1]
    )


@dataclass
class Remembers:
    """Progress that keeps the network's state behind each step."""

    learner: TinyLearner
    states: list[dict[str, torch.Tensor]] = field(default_factory=list)

    def begin(self, step, total):
        """Do nothing."""

    def advance(self, count):
        """Keep the state."""
        self.states.append(weights(self.learner))

    def end(self):
        """Do nothing."""


@pytest.mark.parametrize("options", [{}, {"optimizer": "adamw", "ema": 0.9}])
def test_going_back_restores_the_good_state_and_goes_on_from_there(options):
    figures = [5.0, 6.0, 1.0, 7.0, 7.0, 7.0]
    given = measured_as(lesson(evaluations=5, patience=1, freeze=0.0, **options), figures)
    seen = Remembers(given.learner)

    learn(given, progress=seen)

    assert are_same(seen.states[3], seen.states[1])
    assert not are_same(seen.states[2], seen.states[1])
    steps = [
        (seen.states[at + 1]["first.weight"] - seen.states[at]["first.weight"]).norm()
        for at in (1, 3)
    ]
    assert 0.0 < steps[1] < 0.3 * steps[0]


def test_norms_that_were_not_frozen_in_the_good_state_are_frozen_again():
    figures = [5.0, 6.0, 1.0, 7.0, 7.0, 7.0]  # good behind step 2, bad behind step 4
    given = measured_as(lesson(evaluations=5, patience=1, freeze=0.3), figures)
    seen = Remembers(given.learner)

    learn(given, progress=seen)

    frozen = [bool(state["frozen"]) for state in seen.states]
    assert frozen == [False, False, False, False, True, True, True, True, True, True]


class Diverges(TinyLearner):
    """Gives NaN in training from some step on, once or for good."""

    def __init__(self, steps: set[int]) -> None:
        super().__init__()
        self.steps, self.done = steps, 0

    def forward(self, images):
        outputs = super().forward(images)
        if self.training and torch.is_grad_enabled():
            self.done += 1
            if self.done in self.steps:
                return [outputs[0] * math.nan]
        return outputs


def test_a_loss_that_is_nan_goes_back_and_leaves_no_nan_behind():
    given = lesson(Diverges({4}), epochs=10.0)

    learned = learn(given)

    assert "back to the state after step 0" in said(learned)[0]
    assert learned.steps == 50
    assert all(bool(tensor.isfinite().all()) for tensor in weights(given.learner).values())
    assert learned.last > learned.start


def test_losses_that_stay_nan_end_the_training_with_the_best_state():
    given = lesson(Diverges({4, 5, 6, 7, 8, 9, 10}))
    before = weights(given.learner)

    learned = learn(given)

    assert learned.rolled_back
    assert learned.steps == 5
    assert are_same(before, weights(given.learner))


class Unheld(TinyLearner):
    """Is once on grids that its target cannot run."""

    calls = 0

    def forward(self, images):
        if self.training:
            self.calls += 1
            if self.calls == 4:
                reason, instead = "a multiplier of 300", "Use smaller scales"
                raise UnsupportedByTarget(
                    "fc", "linear", "a target", reason=reason, try_instead=instead
                )
        return super().forward(images)


def test_grids_that_the_target_cannot_run_are_gone_back_from():
    given = lesson(Unheld(), epochs=10.0)

    learned = learn(given)

    assert "a multiplier of 300" in said(learned)[0]
    assert "back to the state after step 0" in said(learned)[0]
    assert learned.steps == 50


def test_a_network_that_cannot_be_measured_goes_back():
    given = lesson()
    calls = []

    def measured():
        calls.append(1)
        if len(calls) == 2:
            raise NonFiniteError("the network gives NaN")
        return 1.0

    learned = learn(replace(given, measured=measured))

    assert "the network cannot be measured (the network gives NaN): back to" in said(learned)[0]
    assert not learned.rolled_back


def test_what_is_measured_and_kept_is_the_average():
    rates = {"lr": 0.5, "evaluations": 1, "freeze": 1.0, "epochs": 0.2}
    plain, averaged = lesson(**rates), lesson(ema=0.75, **rates)
    before = weights(plain.learner)

    for given in (plain, averaged):
        learn(given)

    # one step: a quarter of the way
    moved = weights(plain.learner)["first.weight"] - before["first.weight"]
    found = weights(averaged.learner)["first.weight"] - before["first.weight"]
    assert torch.allclose(found, 0.25 * moved, rtol=1e-4, atol=1e-7)
    assert averaged.measured() == held_out_figure(averaged.learner)()


def test_norms_are_frozen_behind_their_share_of_the_steps():
    for freeze, is_frozen in ((0.5, True), (1.0, False)):
        given = lesson(freeze=freeze)
        learn(given)
        assert bool(given.learner.frozen) is is_frozen


def test_the_float_network_teaches_without_labels():
    teacher = TinyLearner(seed=9).eval()
    given = lesson(distill=1.0, epochs=10.0)
    samples = TensorSamples(images_and_labels()[0], None)
    images = images_and_labels(60, seed=2)[0]

    def measured():
        with torch.no_grad():
            return -float((teacher(images)[0] - given.learner(images)[0]).square().mean())

    learned = learn(replace(given, samples=samples, teacher=teacher, measured=measured))

    assert learned.last > 0.7 * learned.start
    assert learned.last > learned.start


def test_a_process_that_can_read_nothing_leaves_the_step_out():
    given = lesson(batch=1, epochs=0.1)
    samples = TensorSamples(*images_and_labels(), unreadable=frozenset(range(40)))
    before = weights(given.learner)

    learned = learn(replace(given, samples=samples, measured=lambda: 0.0))

    assert said(learned)[0].startswith("a process could read none of its images")
    assert torch.equal(before["first.weight"], weights(given.learner)["first.weight"])


def test_minutes_are_as_many_steps_as_fit_and_the_trial_leaves_no_trace():
    # a thousandth of a second: one step
    few = lesson(epochs=None, minutes=1e-3 / 60, evaluations=0)
    one = lesson(epochs=0.2, evaluations=0)

    learned = learn(few)
    learn(one)

    assert learned.steps == 1
    assert said(learned) == ["as many steps as fit into 1.66667e-05 minutes: 1"]
    assert are_same(weights(few.learner), weights(one.learner))


def test_of_minutes_and_epochs_the_fewer_steps_count():
    assert learn(lesson(epochs=1.0, minutes=1000.0)).steps == 5


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            {"samples": TensorSamples(*images_and_labels(0))},
            RequestError,
            "no images to learn from",
        ),
        ({"samples": TensorSamples(images_and_labels()[0], None)}, DataError, "has no labels"),
        ({"options": TrainOptions(distill=0.5)}, RequestError, "needs the float network"),
    ],
)
def test_what_is_missing_is_told(change, error, words):
    with pytest.raises(error, match=words):
        learn(replace(lesson(), **change))


class Screen:
    """Progress that remembers."""

    def __init__(self):
        self.told = []

    def begin(self, step, total):
        """Remember."""
        self.told.append((step, total))

    def advance(self, count):
        """Remember."""
        self.told.append(count)

    def say(self, text):
        """Remember."""
        self.told.append(text)

    def end(self):
        """Remember."""
        self.told.append("end")


def test_progress_sees_images_losses_and_rates():
    screen = Screen()

    learn(lesson(epochs=0.4, lr=0.25, schedule="constant", warmup=0.0), progress=screen)

    assert screen.told[0] == ("train", 16)
    assert screen.told[1].startswith("loss ")
    assert screen.told[1].endswith(", rate 0.25")
    assert screen.told[2] == 8
    assert screen.told[-1] == "end"
