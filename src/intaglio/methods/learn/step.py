"""One step of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from intaglio.errors import DataError, UnsupportedByTarget
from intaglio.methods.learn.draws import seed_draws
from intaglio.methods.learn.feed import Fed
from intaglio.methods.learn.objective import Wanted, batch_loss, mixed, own_share
from intaglio.methods.learn.precision import LOWEST_LOSS_SCALE, precision_of
from intaglio.methods.learn.processes import Processes
from intaglio.methods.learn.schedule import rate_at
from intaglio.methods.learn.state import Training
from intaglio.tasks.task import Labels


@dataclass(frozen=True)
class Stepped:
    """What a step came to.

    Attributes:
        loss: Mean over the whole batch; None where a process could read none of its images, and
            nothing was done.
        rate: Of weights.
        reason: Why the run has to go back, in words without a full stop; None: it has not.
    """

    loss: float | None
    rate: float
    reason: str | None = None


def step_once(training: Training, fed: Fed, processes: Processes) -> Stepped:
    """Do one step and count it; return what came of it.

    Args:
        fed: This process's images.

    Raises:
        DataError: If there are no labels and the options ask for them.
    """
    options, learner = training.lesson.options, training.lesson.learner
    share = rate_at(training.step, training.total, options) * training.factor
    rate = training.optimizer.set_rate(share)
    seed_draws(options.seed, training.step, processes)
    images = len(fed.own.indices)
    whole, empty = processes.summed(torch.tensor([images, images == 0])).tolist()
    if empty:
        training.step += 1
        training.tell("a process could read none of its images: the step was left out")
        return Stepped(None, rate)
    learner.train(True)
    try:
        loss = _loss(training, fed, processes) * (images / whole)
    except UnsupportedByTarget as error:  # an exact network is on grids that no kernel takes
        training.step += 1
        return Stepped(None, rate, f"the target cannot run the network as it is by now ({error})")
    penalty = training.oscillation.penalty(training.step)
    training.optimizer.backward(loss if penalty is None else loss + penalty / processes.count)
    processes.sum_gradients(training.optimizer.parameters)
    is_finite = training.optimizer.step()
    training.step += 1
    value = float(processes.summed(loss.detach().double().cpu()))
    if is_finite:
        training.events += training.oscillation.after_step(training.step)
        training.average.update()
    not_moved = None if is_finite else _not_moved(training)
    reason = training.watch.after_step(training.step, value, learner) or not_moved
    return Stepped(value, rate, reason)


def _not_moved(training: Training) -> str | None:
    """Count gradients that were not finite; return why the run has to go back, if it has.

    In fp16 the first such step is told, and how many there were at the end of the run.
    """
    if training.lesson.options.precision != "fp16":
        return f"a gradient of step {training.step} is NaN or infinite"
    training.overflows += 1
    scale = training.optimizer.loss_scale
    if scale < LOWEST_LOSS_SCALE:
        return f"gradients overflow fp16 even of losses that are multiplied by {2 * scale:g}"
    if training.overflows == 1:
        training.tell(
            f"gradients overflowed fp16: the step was left out, and losses are multiplied by"
            f" {scale:g} from here; others like it are counted until the end"
        )
    return None


def _loss(training: Training, fed: Fed, processes: Processes) -> Tensor:
    """Return the loss of this process's images, []."""
    lesson, device = training.lesson, processes.device
    options = lesson.options
    if fed.own.labels is None and options.distill < 1.0:
        raise DataError(
            f"{lesson.samples.name} has no labels, and training needs them: give labels, or learn"
            " from the float network's outputs alone (distill = 1)"
        )
    images = fed.own.images.to(device)
    labels: list[tuple[float, Labels]] = [(1.0, moved(fed.own.labels, device))]
    if fed.partners is not None:
        share = own_share(options, training.step)
        images = mixed(images, fed.partners.images.to(device), share)
        partners = moved(fed.partners.labels, device)
        labels = [(share, labels[0][1]), (1.0 - share, partners)]
    with precision_of(options, device):
        outputs = lesson.learner(images)
        float_outputs = None
        if options.distill > 0.0 and lesson.teacher is not None:
            with torch.no_grad():
                float_outputs = [output.float() for output in lesson.teacher(images)]
    wanted = Wanted(labels, float_outputs)
    return batch_loss(lesson.task, [output.float() for output in outputs], wanted, options)


def moved(labels: Labels, device: str) -> Labels:
    """Return labels with all tensors in them on a device, whatever they are in."""
    if isinstance(labels, Tensor):
        return labels.to(device)
    if isinstance(labels, Mapping):
        return {name: moved(value, device) for name, value in labels.items()}
    if isinstance(labels, list | tuple):
        parts: list[Any] = [moved(value, device) for value in labels]
        return parts if isinstance(labels, list) else tuple(parts)
    return labels
