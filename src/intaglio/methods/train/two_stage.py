"""Training a whole detector of two stages, in float: Faster R-CNN, by the loop of all others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from intaglio.data.part import SamplesPart, apart
from intaglio.data.samples import Samples
from intaglio.errors import RequestError
from intaglio.host.progress import Progress, Silent
from intaglio.methods.learn.draws import own_draws
from intaglio.methods.learn.learner import Learner
from intaglio.methods.learn.lesson import Learned, Lesson
from intaglio.methods.learn.loop import learn
from intaglio.methods.learn.module_learner import ModuleLearner
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.learn.processes import ALONE, Processes
from intaglio.methods.train.ground import LARGEST_SHARE
from intaglio.tasks.detect.classes import class_map
from intaglio.tasks.detect.detect import DETECT, Detect
from intaglio.tasks.detect.losses.two_stage import Stages, stages_of
from intaglio.tasks.detect.meter import AveragePrecision
from intaglio.tasks.detect.two_stage import two_stage_task
from intaglio.tasks.detect.whole import detected
from intaglio.zoo.faster_rcnn import FasterRcnn

MEASURED_AT_ONCE = 8
"""Images: a thousand regions of each are 50 MB of numbers before the second stage."""


@dataclass(frozen=True, eq=False)
class Course:
    """What a whole detector is trained on, and where a run of it is kept.

    Attributes:
        samples: Images with their boxes.
        task: Says the categories of the boxes, and whose figures are measured.
        place: A folder for what a killed run needs; None: nothing is written.
        resume: Whether to go on with the run that was saved there.
        about: What else such a run must have in common with the killed one: words to what they are.
        processes: This one alone; says where it computes.
        progress: Told how far the work is.
    """

    samples: Samples
    task: Detect = DETECT
    place: Path | None = None
    resume: bool = False
    about: Mapping[str, str] = field(default_factory=dict)
    processes: Processes = ALONE
    progress: Progress = field(default_factory=Silent)


def train_two_stage(module: FasterRcnn, course: Course, options: TrainOptions) -> Learned:
    """Train a network of the zoo as `train_stages` trains any; arguments and errors as there."""
    height, width = course.samples.take([0]).images.shape[2:]
    return train_stages(module, stages_of(module, (height, width)), course, options)


def train_stages(
    module: nn.Module, stages: Stages, course: Course, options: TrainOptions
) -> Learned:
    """Train a detector in place, on all images but those that only measure; return what came of it.

    All else is as in every training. The module ends in measuring mode, on the CPU.

    Args:
        module: The whole detector; outside of its stages it is always in measuring mode.
        stages: Parts of it, with the weights to start from; parameters that need no gradient stay.
        course: What it is trained on.
        options: How; distilling is refused.

    Raises what `learn` raises.
    """
    held = min(options.held_out, int(len(course.samples) * LARGEST_SHARE))
    learned, measuring = apart(course.samples, held, options.seed)
    task = two_stage_task(stages, course.task)
    learner = ModuleLearner(nn.ModuleList([stages.first, stages.second]), stages.outputs)
    device = course.processes.device
    module.eval().to(device)
    lesson = Lesson(
        learner=cast(Learner, learner.to(device)),
        samples=learned,
        task=task,
        options=options if held else options.model_copy(update={"evaluations": 0}),
        measured=lambda: figure_of(module, measuring, task, device=device),
        about=course.about,
    )
    try:
        return learn(
            lesson,
            place=course.place,
            resume=course.resume,
            progress=course.progress,
            processes=course.processes,
        )
    finally:
        learner.to("cpu")
        module.to("cpu")


def check_stages(stages: Stages, course: Course, options: TrainOptions) -> None:
    """Make sure, before any work, that something learns, and that a first image has a loss.

    Raises:
        RequestError: If nothing does, or there is no loss with these options.
        DataError: If its boxes are not of the network's classes.
    """
    weights = [*stages.first.parameters(), *stages.second.parameters()]
    if not any(weight.requires_grad for weight in weights):
        raise RequestError(
            "no weight of the detector's two stages needs a gradient, so that none would learn:"
            " call requires_grad_() of those that are to"
        )
    taken = course.samples.take([0])
    if not len(taken.indices):
        return
    task = two_stage_task(stages, course.task)
    with torch.no_grad(), own_draws("cpu"):
        task.loss(stages.outputs(taken.images), taken.labels, smoothing=options.smoothing)


def figure_of(
    module: nn.Module, images: SamplesPart, task: Detect, *, device: str = "cpu"
) -> float:
    """Return the first figure of the task, of what the whole module finds in images; 0 of none."""
    assert task.post is not None, "a task of two stages has it"
    classes = class_map(task.post, task.categories)
    meter = AveragePrecision(lambda found: cast(Any, list(found)), classes, task.kind)
    for start in range(0, len(images), MEASURED_AT_ONCE):
        taken = images.take(range(start, min(start + MEASURED_AT_ONCE, len(images))))
        if len(taken.indices):
            found = detected(module, taken.images.to(device))
            meter.add(cast(Any, found), taken.labels)
    return next(iter(meter.figures().values()), 0.0)
