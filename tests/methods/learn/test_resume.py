"""A run that was killed goes on to the same bytes as one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from intaglio.errors import RequestError
from intaglio.host.training import STATE
from intaglio.methods.learn.loop import learn
from methods.learn.tiny import (
    Stop,
    StopsAfter,
    TinyLearner,
    are_same,
    done,
    lesson,
    measured_as,
    weights,
)

BATCH, STEPS = 8, 10
EACH_STEP = 1e-9
"""Seconds between checkpoints that make one due behind each step."""


def told(learned):
    return replace(learned, seconds=0.0)


def whole(**options):
    given = lesson(**options)
    learned = learn(given)
    return weights(given.learner), told(learned)


def interrupted(place, every, **options):
    """Return the end of a run that is killed behind every so many steps."""
    options = {"save_seconds": EACH_STEP, **options}
    for attempt in range(STEPS + 1):
        given = lesson(**options)
        resume = attempt > 0
        try:
            learned = learn(
                given,
                place=place,
                resume=resume,
                progress=StopsAfter((attempt + 1) * every * BATCH),
            )
        except Stop:
            continue
        return weights(given.learner), told(learned)
    raise AssertionError("it was never through")


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": "adamw", "lr": 0.01, "ema": 0.9, "mixup": 0.3, "flip": True, "clip": 1.0},
        {"precision": "fp16", "freeze": 1.0, "schedule": "step", "evaluations": 7},
        {"evaluations": 0, "freeze": 0.0},
    ],
)
def test_a_run_killed_behind_every_so_many_steps_ends_in_the_same_bytes(tmp_path, every, options):
    state, learned = whole(**options)

    resumed, again = interrupted(tmp_path, every, **options)

    assert are_same(resumed, state)
    assert again == learned


FIGURES = {0: 5.0, 2: 6.0, 4: 1.0, 6: 7.0, 8: 2.0, 10: 3.0}
"""Steps to figures: the run goes back behind step 4, and for good behind step 8."""


def scripted(**options):
    """Return a run with these figures, whichever process measures."""
    learner = CountsSteps()
    given = lesson(learner, evaluations=5, patience=1, save_seconds=EACH_STEP, **options)
    return replace(given, measured=lambda: FIGURES[int(learner.done)])


class CountsSteps(TinyLearner):
    """Counts its steps, which go on when the run goes back."""

    def __init__(self) -> None:
        super().__init__()
        self.done = 0

    def forward(self, images):
        if self.training and torch.is_grad_enabled():
            self.done += 1
        return super().forward(images)


@pytest.mark.parametrize("kill", range(1, 9))
def test_a_run_that_goes_back_does_so_when_it_was_killed_before_or_behind(tmp_path, kill):
    given = scripted(ema=0.5)
    learned = told(learn(given))
    first, second = scripted(ema=0.5), scripted(ema=0.5)
    with pytest.raises(Stop):
        learn(first, place=tmp_path, progress=StopsAfter(kill * BATCH))
    second.learner.done = kill

    again = told(learn(second, place=tmp_path, resume=True))

    assert learned.rolled_back
    assert [event.step for event in done(learned)] == [4, 8, 8]
    assert again == learned
    assert are_same(weights(second.learner), weights(given.learner))


class CountsChanges(TinyLearner):
    """Counts how often it is set to measuring, as one does something that settles grids then."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("changes", torch.tensor(0))

    def train(self, mode: bool = True) -> TinyLearner:
        """Count."""
        if self.training and not mode:
            self.changes += 1
        return super().train(mode)


@pytest.mark.parametrize("evaluations", [0, 3])
def test_a_network_is_set_to_measuring_as_often_as_if_it_had_not_been_killed(tmp_path, evaluations):
    options = {"evaluations": evaluations, "save_seconds": EACH_STEP}
    given = lesson(CountsChanges(), **options)
    learn(given)

    for attempt in range(STEPS + 1):
        part = lesson(CountsChanges(), **options)
        killer = StopsAfter((attempt + 1) * BATCH)
        try:
            learn(part, place=tmp_path, resume=attempt > 0, progress=killer)
        except Stop:
            continue

    assert are_same(weights(part.learner), weights(given.learner))


def test_the_scale_of_losses_in_fp16_is_kept(tmp_path):
    def large():
        learner = TinyLearner()
        learner.second.weight.data.mul_(100.0)
        return lesson(learner, precision="fp16", evaluations=0, save_seconds=EACH_STEP)

    given, first, second = large(), large(), large()
    learned = learn(given)
    with pytest.raises(Stop):
        learn(first, place=tmp_path, progress=StopsAfter(2 * BATCH))

    again = learn(second, place=tmp_path, resume=True)

    assert "steps overflowed fp16" in learned.events[-1].what
    assert again.events == learned.events
    assert are_same(weights(second.learner), weights(given.learner))


def test_a_run_that_is_through_is_only_told_again(tmp_path):
    given, again = lesson(), lesson()
    learned = learn(given, place=tmp_path)

    found = learn(measured_as(again, []), place=tmp_path, resume=True)

    assert told(found) == told(learned)
    assert are_same(weights(again.learner), weights(given.learner))


def test_without_resume_a_run_starts_anew_whatever_is_there(tmp_path):
    learn(lesson(seed=8), place=tmp_path)
    given = lesson()

    learned = learn(given, place=tmp_path)

    assert (weights(given.learner)["first.weight"] == whole()[0]["first.weight"]).all()
    assert learned.steps == STEPS


def test_minutes_are_not_settled_again(tmp_path):
    options = {"epochs": None, "minutes": 1e-6, "save_seconds": EACH_STEP}
    learned = learn(lesson(**options), place=tmp_path)

    again = learn(measured_as(lesson(**options), []), place=tmp_path, resume=True)

    assert told(again) == told(learned)
    assert again.steps == 1


def test_a_run_with_other_options_is_refused_and_nothing_is_changed(tmp_path):
    learn(lesson(), place=tmp_path)
    before = (tmp_path / STATE).read_bytes()

    with pytest.raises(RequestError, match=r"another one: lr was 0\.1 and is 0\.2\. Ask"):
        learn(lesson(lr=0.2), place=tmp_path, resume=True)

    assert (tmp_path / STATE).read_bytes() == before


def test_another_network_is_refused(tmp_path):
    learn(lesson(), place=tmp_path)

    with pytest.raises(RequestError, match=r"another network: 'first\.weight' was \[6, 4\]"):
        learn(lesson(TinyLearner(width=7)), place=tmp_path, resume=True)


def test_the_place_is_written_before_the_first_step(tmp_path):
    with pytest.raises(Stop):
        learn(lesson(save_seconds=1e9), place=tmp_path, progress=StopsAfter(BATCH))
    given = lesson(save_seconds=1e9)

    learn(given, place=tmp_path, resume=True)

    assert are_same(weights(given.learner), whole()[0])


def killed_at(step: int, place: Path) -> None:
    """Train; die for good behind a step."""

    class Dies(StopsAfter):
        """Progress that kills the process."""

        def advance(self, count: int) -> None:
            """Count; kill."""
            self.seen += count
            if self.seen >= self.images:
                os.kill(os.getpid(), signal.SIGKILL)

    learn(lesson(save_seconds=EACH_STEP), place=place, progress=Dies(step * BATCH))


@pytest.mark.slow
def test_a_killed_process_goes_on_in_another_to_the_same_bytes(tmp_path):
    here = Path(__file__).resolve()
    paths = [str(here.parents[2]), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = (
        f"from methods.learn.test_resume import killed_at; killed_at(4, Path({str(tmp_path)!r}))"
    )
    killed = subprocess.run(
        [sys.executable, "-c", f"from pathlib import Path; {command}"],
        env=environment,
        check=False,
        timeout=120,
    )
    given = lesson(save_seconds=EACH_STEP)

    learned = learn(given, place=tmp_path, resume=True, progress=StopsAfter(1000 * BATCH))

    assert killed.returncode == -signal.SIGKILL
    assert learned.steps == STEPS
    save_file(weights(given.learner), tmp_path / "resumed.safetensors")
    save_file(whole()[0], tmp_path / "whole.safetensors")
    assert are_same(*(load_file(tmp_path / f"{name}.safetensors") for name in ("resumed", "whole")))
