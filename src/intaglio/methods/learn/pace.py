"""How many steps a run has; where minutes say it, from the first few of them."""

from __future__ import annotations

import time
from contextlib import closing

from intaglio.methods.learn.feed import fed_from
from intaglio.methods.learn.lesson import Lesson
from intaglio.methods.learn.measure import figure_of
from intaglio.methods.learn.processes import Processes
from intaglio.methods.learn.schedule import steps_in, steps_of
from intaglio.methods.learn.state import begun
from intaglio.methods.learn.step import step_once

UNTIMED, TIMED = 2, 6
"""Steps until caches are warm, and steps that are timed."""


def settled_steps(lesson: Lesson, processes: Processes, *, start: float) -> int:
    """Return how many steps the run has; the learner is afterwards as it was.

    With both epochs and minutes, it is the smaller number.

    Args:
        start: The figure before training; NaN where nothing is measured.
    """
    options = lesson.options
    whole = steps_of(options, len(lesson.samples))
    if options.minutes is None:
        return whole
    each, measuring = _seconds(lesson, processes, whole, start)
    fitting = steps_in(60.0 * options.minutes, each, measuring=measuring * options.evaluations)
    fitting = processes.agreed(fitting)
    return fitting if options.epochs is None else min(fitting, whole)


def _seconds(lesson: Lesson, processes: Processes, total: int, start: float) -> tuple[float, float]:
    """Return the seconds of a step, and of a measurement. All that was done is undone."""
    began = time.perf_counter()
    if lesson.options.evaluations:
        figure_of(lesson, processes)
    measuring = time.perf_counter() - began
    total = max(total, UNTIMED + TIMED)
    training = begun(lesson, total, start=start, device=processes.device)
    feed = fed_from(lesson.samples, lesson.options, processes, step=0, total=total)
    with closing(feed):
        for number in range(UNTIMED + TIMED):
            if number == UNTIMED:
                began = time.perf_counter()
            step_once(training, next(feed), processes)
    seconds = (time.perf_counter() - began) / TIMED
    training.go_back()
    return seconds, measuring
