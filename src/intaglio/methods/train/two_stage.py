"""Training a whole detector of two stages, in float: Faster R-CNN, by the loop of all others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from intaglio.data.part import SamplesPart, apart
from intaglio.data.samples import Samples
from intaglio.host.progress import Progress
from intaglio.methods.learn.learner import Learner
from intaglio.methods.learn.lesson import Learned, Lesson
from intaglio.methods.learn.loop import learn
from intaglio.methods.learn.module_learner import ModuleLearner
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.train.ground import LARGEST_SHARE, MEASURED_AT_ONCE
from intaglio.tasks.detect.classes import class_map
from intaglio.tasks.detect.detect import DETECT, Detect
from intaglio.tasks.detect.meter import AveragePrecision
from intaglio.tasks.detect.two_stage import two_stage_task
from intaglio.tasks.detect.whole import detected
from intaglio.zoo.faster_rcnn import FasterRcnn


@dataclass(frozen=True, eq=False)
class Course:
    """What a whole detector is trained on, and where a run of it is kept.

    Attributes:
        samples: Images with their boxes.
        task: Says the categories of the boxes, and whose figures are measured.
        place: A folder for what a killed run needs; None: nothing is written.
        resume: Whether to go on with the run that was saved there.
        progress: Told how far the work is.
    """

    samples: Samples
    task: Detect = DETECT
    place: Path | None = None
    resume: bool = False
    progress: Progress | None = None


def train_two_stage(module: FasterRcnn, course: Course, options: TrainOptions) -> Learned:
    """Train a module in place, on all images but those that only measure; return what came of it.

    Schedule, checkpoints, clipping, averages and going back are those of every training. The module
    ends in measuring mode, on the CPU.

    Args:
        module: With the weights to start from; parameters that need no gradient stay.
        course: What it is trained on.
        options: How; distilling needs a network whose outputs are compared, and is refused.

    Raises:
        RequestError, DataError, OutputError: As `learn`.
    """
    held = min(options.held_out, int(len(course.samples) * LARGEST_SHARE))
    learned, measuring = apart(course.samples, held, options.seed)
    height, width = course.samples.take([0]).images.shape[2:]
    task = two_stage_task(module, (height, width), course.task)
    first, _ = module.stages()
    lesson = Lesson(
        learner=cast(Learner, ModuleLearner(module, first)),
        samples=learned,
        task=task,
        options=options if held else options.model_copy(update={"evaluations": 0}),
        measured=lambda: figure_of(module, measuring, task),
    )
    return learn(lesson, place=course.place, resume=course.resume, progress=course.progress)


def figure_of(module: FasterRcnn, images: SamplesPart, task: Detect) -> float:
    """Return the first figure of the task, of what the whole module finds in images; 0 of none."""
    assert task.post is not None, "a task of two stages has it"
    classes = class_map(task.post, task.categories)
    meter = AveragePrecision(lambda found: cast(Any, list(found)), classes, task.kind)
    for start in range(0, len(images), MEASURED_AT_ONCE):
        taken = images.take(range(start, min(start + MEASURED_AT_ONCE, len(images))))
        if len(taken.indices):
            with torch.no_grad():
                found = detected(module, taken.images)
            meter.add(cast(Any, found), taken.labels)
    return next(iter(meter.figures().values()), 0.0)
