"""Where a run of training is: all that it needs to go on, or to go back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor

from intaglio.methods.learn.average import Average
from intaglio.methods.learn.events import Event
from intaglio.methods.learn.lesson import Lesson
from intaglio.methods.learn.optimizer import Optimizer
from intaglio.methods.learn.oscillation import Oscillation
from intaglio.methods.learn.parts import Tensors, copied, joined, under
from intaglio.methods.learn.watch import Watch

PARTS = ("learner", "optimizer", "average", "oscillation")


@dataclass(frozen=True, eq=False)
class Kept:
    """A state that a run may go back to.

    Attributes:
        step: Steps that were done.
        frozen: Whether batch norms kept their statistics.
        tensors: All of it, PARTS before their names; of the best state the learner's own names.
    """

    step: int
    frozen: bool
    tensors: Tensors


@dataclass(eq=False)
class Training:
    """A run of training as it is now.

    Attributes:
        lesson: What is learned.
        total: Steps of the run.
        optimizer, average, watch, oscillation: What else moves or remembers.
        good: What the run goes back to: the last state that was not below the start.
        best: The learner with the best figure, as it was measured.
        step: Steps that are done.
        frozen: Whether batch norms keep their statistics.
        factor: Of all rates; below 1 once the run went back.
        stopped: Whether it ended before its last step.
        start: Figure before training; NaN where nothing is measured.
        figures: (steps done, figure) of each measurement.
        best_figure: Of the best state.
        events: What was done, but for what the watch tells.
        seconds: Spent before this process went on with the run.
        overflows: Steps that were left out because gradients overflowed fp16.
    """

    lesson: Lesson
    total: int
    optimizer: Optimizer
    average: Average
    watch: Watch
    oscillation: Oscillation
    good: Kept
    best: Kept
    start: float = math.nan
    best_figure: float = math.nan
    step: int = 0
    frozen: bool = False
    factor: float = 1.0
    stopped: bool = False
    figures: list[tuple[int, float]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    seconds: float = 0.0
    overflows: int = 0

    def tell(self, what: str) -> None:
        """Remember an event of now."""
        self.events.append(Event(self.step, what))

    def told(self) -> tuple[Event, ...]:
        """Return all events in their order."""
        return tuple(
            sorted([*self.events, *self.watch.events], key=lambda event: event.step)  # is stable
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return copies of all that changes, PARTS before their names."""
        parts: tuple[Tensors, ...] = (
            self.lesson.learner.state_dict(),
            self.optimizer.tensors(),
            self.average.tensors(),
            self.oscillation.tensors(),
        )
        return copied(joined(dict(zip(PARTS, parts, strict=True))))

    def restore(self, tensors: Tensors) -> None:
        """Take over what `tensors` returned."""
        learner, optimizer, average, oscillation = (under(tensors, part) for part in PARTS)
        self.lesson.learner.load_state_dict(learner)
        self.optimizer.restore(optimizer)
        self.average.restore(average)
        self.oscillation.restore(oscillation)

    def keep_good(self) -> None:
        """Let this be the state that the run goes back to."""
        self.good = Kept(self.step, self.frozen, self.tensors())

    def keep_best(self, figure: float) -> None:
        """Let the learner, as it is now, be the best one."""
        self.best, self.best_figure = kept_learner(self.lesson, self.step, self.frozen), figure

    def go_back(self) -> None:
        """Return to the last good state; steps are counted on, so that other images come."""
        self.restore(self.good.tensors)
        self.frozen = self.good.frozen
        self.optimizer.reset_loss_scale()


def begun(lesson: Lesson, total: int, *, start: float, device: str) -> Training:
    """Return a run of training before its first step.

    Args:
        start: The figure before training; NaN where nothing is measured.
        device: Where it computes.
    """
    learner, options = lesson.learner, lesson.options
    first = kept_learner(lesson, 0, False)
    training = Training(
        lesson,
        total,
        Optimizer(learner.groups(), options, device),
        Average(learner.groups(), options.ema),
        Watch(options, start, learner),
        Oscillation(learner, options, total),
        good=first,
        best=first,
        start=start,
        best_figure=start,
    )
    training.keep_good()
    return training


def kept_learner(lesson: Lesson, step: int, frozen: bool) -> Kept:
    """Return the learner alone as it is now."""
    return Kept(step, frozen, copied(lesson.learner.state_dict()))


def is_below(figure: float, other: float) -> bool:
    """Return whether a figure is worse than another; NaN is worse than any, and none is below NaN.

    NaN as the other figure stands for none.
    """
    return not math.isnan(other) and not figure >= other
