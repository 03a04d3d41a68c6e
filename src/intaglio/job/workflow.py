"""The published workflow: calibrators, then layers in float, then quantization-aware training.

Source: Wu et al. 2020 (arXiv:2004.09602), section 6:

1. post-training quantization with several calibrators; the best is kept;
2. where that misses the wish, partial quantization: layers are ranked by what each does alone, and
   the most sensitive are left in float until the wish is met;
3. where that misses it too, training from the best calibrated network, all of it quantized, with
   its ranges fixed: a tenth of a schedule, the rate along a cosine from a hundredth of the usual.

We differ in what is judged by (as any rung of a search: on images held apart, by labels and by
agreement with the float network), and train on the images that were calibrated with, taught by the
float network: labels of a thousand images are learned by heart. The runtime's grids are taken,
where the paper has symmetric ones. Layers are added a few at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from intaglio.calibrate.float_islands import SENSITIVE
from intaglio.job.climb import Found, Search, worst_first
from intaglio.job.quantize import set_apart
from intaglio.job.rungs import Change, Rung, keeping, plain_settings, with_calibrator, with_step
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.train.step import TUNING, Train
from intaglio.recipe.settings import Settings

CALIBRATORS_TRIED = ("minmax", "entropy", "percentile-99.99", "percentile-99.999")
IN_FLOAT = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Layers left in float. The paper adds one at a time; with steps of a half at most, far fewer
networks are judged for little more float. [M]"""
MOST_IN_FLOAT = 0.5
"""Of the layers: beyond that, what is quantized hardly pays. [M]"""
UNTRAINED = 0.4
"""Share of the minutes for calibrators and layers in float; the rest is for training alone."""

EPOCHS, LEAST_EPOCHS = 20.0, 2.0
"""A tenth of the 200 epochs that networks are trained for on small sets, and what is not worth it.
[M]"""
SCHEDULE = TUNING.model_copy(update={"epochs": EPOCHS, "warmup": 0.0})
"""Its rate is a hundredth of the 0.1 that networks are trained with."""
PLANNED = 0.8
"""Of the seconds that are left, what training is planned to take: the pace of a few steps is not
that of all, and a run that is ended leaves nothing."""
SENSITIVE_IN_FLOAT, TRAINING = "the most sensitive layers in float", "training"


def workflow(work: Search) -> Iterator[Rung]:
    """Yield the rungs of the published workflow, in order."""
    plain = plain_settings(work.settings)
    for name in CALIBRATORS_TRIED:
        yield Rung(name, "always", _calibrated(plain, name), until=UNTRAINED)
    calibrated = work.best
    if work.is_missed:
        yield from _partly_in_float(work, calibrated)
    if work.is_missed:
        yield from _trained(work, calibrated)


def _calibrated(plain: Settings, name: str) -> Change:
    return lambda _: with_calibrator(name)(plain)


def _partly_in_float(work: Search, calibrated: Found) -> Iterator[Rung]:
    """Yield what leaves more and more of the most sensitive layers in float."""
    worst = worst_first(work, calibrated, SENSITIVE_IN_FLOAT, UNTRAINED)
    for count in IN_FLOAT:
        if count > MOST_IN_FLOAT * len(worst):
            return
        yield keeping(worst[:count], SENSITIVE, when="unmet", until=UNTRAINED)
        if not work.has_time(UNTRAINED):
            return


def _trained(work: Search, calibrated: Found) -> Iterator[Rung]:
    """Yield training from the best calibrated network, as many of its epochs as there is time for.

    They are counted before: a recipe that says minutes would not give the same file again.
    """
    options = SCHEDULE.model_copy(update={"flip": work.held.tuning.ndim == 4})
    epochs = work.in_time(TRAINING, lambda: _epochs_in_time(work, calibrated, options))
    if epochs is None:
        return
    if epochs < LEAST_EPOCHS:
        few = f"{epochs:g} of {EPOCHS:g} epochs would fit into the minutes that are left"
        work.pass_over(TRAINING, few)
        return
    work.out_of_time |= epochs < EPOCHS
    wishes = options.model_copy(update={"epochs": epochs}).model_dump(
        exclude={"seed", "minutes"}, exclude_none=True
    )
    change = with_step("train", {"method": "fixed", "options": wishes})
    cut = f" of {EPOCHS:g}" * (epochs < EPOCHS)
    name = f"{calibrated.settings.calibrator} and {epochs:g}{cut} epochs of training"
    yield Rung(name, "missed", lambda _: change(calibrated.settings))


def _epochs_in_time(work: Search, calibrated: Found, options: TrainOptions) -> float:
    """Return how many epochs can be trained, EPOCHS at most, with one digit behind the point."""
    seconds = _seconds_to_train(work, calibrated)
    if seconds <= 0.0:
        return 0.0
    context, _ = set_apart(work.context())
    step = Train("fixed", options)
    fitting = work.recorder.step(
        "time training", lambda: step.epochs_within(seconds / 60.0, calibrated.state, context)
    )
    left = max(0.0, _seconds_to_train(work, calibrated))  # timing took some of them
    return min(EPOCHS, math.floor(10.0 * fitting * left / seconds) / 10.0)


def _seconds_to_train(work: Search, calibrated: Found) -> float:
    """Return the seconds left for training's steps.

    Twice what the calibrated network took goes to calibrating and judging again, and to taking
    statistics of batch norms anew.
    """
    return PLANNED * (work.left() - 2.0 * calibrated.seconds)
