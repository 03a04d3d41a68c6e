"""A run of training as a checkpoint, and back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from intaglio.errors import RequestError
from intaglio.methods.learn.checkpoint import NOW, Checkpoint, Facts, load, refuse_other
from intaglio.methods.learn.events import Event
from intaglio.methods.learn.lesson import Lesson
from intaglio.methods.learn.parts import joined, under
from intaglio.methods.learn.saver import Saver
from intaglio.methods.learn.state import Kept, Training, begun

GOOD, BEST = "good", "best"
"""Before the names of the tensors of the states that were kept."""
PLAIN = ("start", "best_figure", "frozen", "factor", "stopped", "overflows")
"""What of a run is a plain value."""


def facts_of(lesson: Lesson) -> Facts:
    """Return what a run was started with, none of its steps done."""
    return Facts(
        about=dict(lesson.about),
        options=lesson.options.model_dump(),
        images=len(lesson.samples),
        total=0,
        step=0,
        state={},
    )


def saver_of(place: Path | None, every_seconds: float) -> Saver[Training]:
    """Return what saves a run now and then; arguments as of `Saver`."""
    return Saver(place, every_seconds, checkpoint_of)


def checkpoint_of(training: Training, seconds: float) -> Checkpoint:
    """Return a run as a checkpoint.

    Args:
        seconds: That it took in this process.
    """
    state: dict[str, Any] = {name: getattr(training, name) for name in PLAIN}
    state |= {
        GOOD: {"step": training.good.step, "frozen": training.good.frozen},
        BEST: {"step": training.best.step, "frozen": training.best.frozen},
        "figures": [list(figure) for figure in training.figures],
        "events": [asdict(event) for event in training.events],
        "watch": training.watch.facts(),
        "optimizer": training.optimizer.facts(),
        "training": training.lesson.learner.training,
        "seconds": training.seconds + seconds,
    }
    parts = {NOW: training.tensors(), GOOD: training.good.tensors, BEST: training.best.tensors}
    started = facts_of(training.lesson)
    facts = started.model_copy(
        update={"total": training.total, "step": training.step, "state": state}
    )
    return Checkpoint(facts, joined(parts))


def resumed(lesson: Lesson, place: Path, *, device: str) -> Training:
    """Return the run that was saved in a folder.

    Args:
        lesson: The same as then; the learner as it was before its first step.
        device: Where it computes.

    Raises:
        RequestError: If there is none, it is damaged, or it is of another run; says what differs.
    """
    stored = load(place)
    refuse_other(stored, facts_of(lesson), lesson.learner.state_dict())
    facts, state = stored.facts, stored.facts.state
    try:
        training = begun(lesson, facts.total, start=float(state["start"]), device=device)
        lesson.learner.train(bool(state["training"]))  # it may do something where that changes
        training.restore(under(stored.tensors, NOW))
        for name in PLAIN:
            setattr(training, name, state[name])
        training.step, training.seconds = facts.step, float(state["seconds"])
        training.good = _kept(stored, GOOD)
        training.best = _kept(stored, BEST)
        training.figures = [(int(step), float(figure)) for step, figure in state["figures"]]
        training.events = [Event(**event) for event in state["events"]]
        training.watch.restore(state["watch"])
        training.optimizer.restore_facts(state["optimizer"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RequestError(
            f"{place}: the state of the training does not fit this version of intaglio ({error}):"
            " start it anew, without --resume"
        ) from error
    return training


def _kept(stored: Checkpoint, part: str) -> Kept:
    facts = stored.facts.state[part]
    return Kept(int(facts["step"]), bool(facts["frozen"]), under(stored.tensors, part))
