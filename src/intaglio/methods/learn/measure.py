"""How good the network is by now, on images that it does not learn from."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from intaglio.errors import NonFiniteError
from intaglio.methods.learn.draws import seed_draws
from intaglio.methods.learn.feed import plain_images
from intaglio.methods.learn.lesson import Lesson
from intaglio.methods.learn.processes import Processes
from intaglio.methods.learn.re_estimate import re_estimate
from intaglio.methods.learn.state import Training, is_below

NORM_IMAGES = 1024
"""Images from which statistics of batch norms are taken anew."""


def figure_of(lesson: Lesson, processes: Processes) -> float:
    """Return the figure of the learner as it is, the same in all processes."""
    lesson.learner.train(False)
    return processes.agreed(float(lesson.measured()))


def measure(training: Training, processes: Processes) -> str | None:
    """Measure the network as it would be kept; return why the run has to go back, if it has.

    The state is from now on the one to go back to if it is not below the start, and the best one if
    no other was better.
    """
    lesson = training.lesson
    with training.average.in_place():
        training.oscillation.pin()
        settle_norms(training, processes)
        reason = training.watch.examine(training.step, lesson.learner)
        if reason is not None:
            return reason
        try:
            figure = figure_of(lesson, processes)
        except NonFiniteError as error:
            return f"the network cannot be measured ({error})"
        training.figures.append((training.step, figure))
        if not is_below(figure, training.best_figure):
            training.keep_best(figure)
    if not is_below(figure, training.start):
        training.keep_good()
    return training.watch.after_measurement(training.step, figure)


def settle_norms(training: Training, processes: Processes) -> None:
    """Take the statistics of batch norms anew, unless they are frozen or there are none."""
    learner, options = training.lesson.learner, training.lesson.options
    if training.frozen or not learner.norm_statistics():
        return
    seed_draws(options.seed, training.step, processes)
    for sentence in re_estimate(learner, _images(training, processes)):
        training.tell(sentence)


def freeze_norms(training: Training, processes: Processes) -> None:
    """Let batch norms keep the statistics that they have with the weights of now.

    Before the first step these are the given network's, which it was quantized with.
    """
    if training.step:
        settle_norms(training, processes)
    training.lesson.learner.freeze_norms()
    training.frozen = True


def _images(training: Training, processes: Processes) -> Iterator[Tensor]:
    lesson = training.lesson
    found = plain_images(lesson.samples, lesson.options, step=training.step, images=NORM_IMAGES)
    return (images.to(processes.device) for images in found)
