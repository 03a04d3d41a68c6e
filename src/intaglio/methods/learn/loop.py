"""The one training loop, for every method that learns.

It knows no quantization, no labels and no files of images: a learner says what it learns, a task
what is right, samples what there is to see.
"""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path

from intaglio.errors import NonFiniteError, RequestError
from intaglio.host.progress import Progress, Silent, chart, say
from intaglio.methods.learn.draws import own_draws
from intaglio.methods.learn.feed import fed_from
from intaglio.methods.learn.lesson import Learned, Lesson
from intaglio.methods.learn.measure import figure_of, freeze_norms, measure, settle_norms
from intaglio.methods.learn.pace import settled_steps
from intaglio.methods.learn.precision import check_precision, told_precision
from intaglio.methods.learn.processes import ALONE, Processes
from intaglio.methods.learn.saver import Saver
from intaglio.methods.learn.saving import resumed, saver_of
from intaglio.methods.learn.schedule import frozen_from, measured_after, steps_in_epoch
from intaglio.methods.learn.state import Training, begun, is_below
from intaglio.methods.learn.step import step_once

LOWERED = 0.1
"""What is left of the rate when a run went back."""


def learn(
    lesson: Lesson,
    *,
    place: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    processes: Processes = ALONE,
) -> Learned:
    """Train a learner, in place; return what came of it.

    The learner ends as it was last trained, with the averages of its weights where there are some;
    as the best state that was measured where the last one is below the start, or below the best
    after the run went back. Events say so.

    Args:
        lesson: What is to be learned.
        place: A folder for what a killed run needs (checkpoint.py); None: nothing is written.
        resume: Whether to go on with the run that was saved there.
        progress: Told of images as they are seen, with loss and rate; only by the first process.
        processes: That train together.

    Raises:
        RequestError: If the options need what is not there, or the run that is to go on is
            another one.
        NonFiniteError: If gradients overflowed fp16 in every step, and nothing was learned.
        OutputError: If the place cannot be written, or the disk is full.
        DataError: If an image cannot be read, or there are no labels and they are needed.
    """
    _check(lesson, place, resume)
    check_precision(lesson.options, processes.device)
    shown = progress if progress is not None and processes.is_first else Silent()
    with own_draws(processes.device):
        saver = saver_of(place if processes.is_first else None, lesson.options.save_seconds)
        if resume and place is not None:
            training = _resumed(lesson, place, processes)
        else:
            training = _first(lesson, processes)
        saver.look(training, is_due=True)
        _go_through(training, saver, shown, processes)
        return _ended(training, saver, processes)


def _check(lesson: Lesson, place: Path | None, resume: bool) -> None:
    options = lesson.options
    if not len(lesson.samples):
        raise RequestError(f"{lesson.samples.name}: there are no images to learn from")
    if options.distill > 0.0 and lesson.teacher is None:
        raise RequestError(
            f"distill = {options.distill:g} needs the float network to learn from, and there is"
            " none: train with distill = 0"
        )
    if resume and place is None:
        raise RequestError("a run goes on from the folder that it was saved in: name it")


def _resumed(lesson: Lesson, place: Path, processes: Processes) -> Training:
    """Return the run that was saved, the same in all processes."""
    processes.barrier()  # the first may have been writing until now
    training = resumed(lesson, place, device=processes.device)
    if training.step != processes.agreed(training.step):
        raise RequestError(
            f"{place}: process {processes.rank} finds another state of the training there than the"
            " first one: all have to see the same folder"
        )
    return training


def _first(lesson: Lesson, processes: Processes) -> Training:
    """Return a run before its first step."""
    start = math.nan
    if lesson.options.evaluations:
        start = figure_of(lesson, processes) if lesson.start is None else lesson.start
    total = settled_steps(lesson, processes, start=start)
    training = begun(lesson, total, start=start, device=processes.device)
    precision = told_precision(
        lesson.options,
        has_grids=bool(lesson.learner.grids()),
        loss_scale=training.optimizer.loss_scale,
    )
    if precision is not None:
        training.tell(precision)
    if lesson.options.minutes is not None:
        training.tell(f"as many steps as fit into {lesson.options.minutes:g} minutes: {total}")
    return training


def _go_through(
    training: Training, saver: Saver[Training], progress: Progress, processes: Processes
) -> None:
    """Do the steps that are left."""
    lesson, total = training.lesson, training.total
    samples, options = lesson.samples, lesson.options
    size = min(options.batch, len(samples))
    measured, frozen = measured_after(total, options.evaluations), frozen_from(total, options)
    feed = fed_from(samples, options, processes, step=training.step, total=total)
    progress.begin("train", total * size)
    try:
        if training.step:
            progress.advance(training.step * size)
        with closing(feed):
            while training.step < total and not training.stopped:
                if frozen is not None and training.step >= frozen and not training.frozen:
                    freeze_norms(training, processes)
                stepped = step_once(training, next(feed), processes)
                reason = stepped.reason
                if reason is None and training.step in measured:
                    reason = measure(training, processes)
                if reason is not None:
                    _go_back(training, reason)
                saver.look(training, is_due=training.stopped or training.step == total)
                if stepped.loss is not None:
                    say(progress, f"loss {stepped.loss:.4g}, rate {stepped.rate:.2g}")
                    chart(progress, training.step, {"loss": stepped.loss, "rate": stepped.rate})
                if training.figures and training.figures[-1][0] == training.step:
                    chart(progress, training.step, {"held-out figure": training.figures[-1][1]})
                progress.advance(size)
    finally:
        progress.end()


def _go_back(training: Training, reason: str) -> None:
    """Return to the last good state with a lower rate; the second time, and at the end, stop."""
    if training.factor < 1.0 or training.step == training.total:
        training.stopped = True
        training.tell(f"{reason}: training ends here")
        return
    training.factor = LOWERED
    training.tell(
        f"{reason}: back to the state after step {training.good.step}, and on with a tenth of the"
        " rate"
    )
    training.go_back()
    training.watch.after_rollback()


def _ended(training: Training, saver: Saver[Training], processes: Processes) -> Learned:
    """Leave the learner in the state that is kept; return what came of the run."""
    _tell_overflows(training)
    last = training.figures[-1][1] if training.figures else None
    reason = _why_best(training, last)
    if reason is not None:
        training.lesson.learner.load_state_dict(training.best.tensors)
        kept = f"the state after step {training.best.step} is kept"
        figure = f", with {training.best_figure:.4g}" * (not math.isnan(training.best_figure))
        training.tell(f"{reason}: {kept}{figure}")
    else:
        training.average.put_in()
        training.oscillation.pin()
        if not training.figures or training.figures[-1][0] != training.step:
            settle_norms(training, processes)  # a measurement has just done so
    training.lesson.learner.train(False)
    return Learned(
        training.told(),
        training.step / steps_in_epoch(training.lesson.options, len(training.lesson.samples)),
        training.step,
        training.seconds + saver.seconds(),
        reason is not None,
        _told_figure(training.start),
        last,
        _told_figure(training.best_figure),
        training.total,
    )


def _tell_overflows(training: Training) -> None:
    """Tell how many steps overflowed fp16.

    Raises:
        NonFiniteError: If all did.
    """
    count, scale = training.overflows, training.optimizer.loss_scale
    if not count:
        return
    if count == training.step:
        raise NonFiniteError(
            f"gradients overflowed fp16 in each of the {count} steps of training, by the end of"
            f" losses that are multiplied by {scale:g}: nothing was learned."
            " Train in bf16 or fp32 (--precision, TrainOptions.precision), or for more steps"
        )
    training.tell(f"{count} of {training.step} steps overflowed fp16 and were left out")


def _why_best(training: Training, last: float | None) -> str | None:
    """Return why the best state is kept, and not the last one; None: the last one is."""
    if training.stopped:
        return "training went astray"
    if last is None:
        return None
    if is_below(last, training.start):
        return f"the last measurement, {last:.4g}, is below the start, {training.start:.4g}"
    if training.factor < 1.0 and is_below(last, training.best_figure):
        return (
            f"training went back, and the last measurement, {last:.4g}, is below the best,"
            f" {training.best_figure:.4g}"
        )
    return None


def _told_figure(figure: float) -> float | None:
    return None if math.isnan(figure) else figure
