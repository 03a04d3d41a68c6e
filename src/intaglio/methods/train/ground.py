"""What a network is trained on, and how it is measured while it trains."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from intaglio.data.part import SamplesPart, apart
from intaglio.data.samples import Samples
from intaglio.host.progress import Progress, Silent
from intaglio.ir.graph import Graph
from intaglio.methods.learn.draws import own_draws
from intaglio.methods.learn.lesson import Learned, Lesson
from intaglio.methods.learn.loop import learn
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.learn.pace import settled_steps
from intaglio.methods.learn.processes import ALONE, Processes
from intaglio.methods.learn.schedule import steps_in_epoch
from intaglio.methods.learn.sharded import measured_by_parts, whole_batches
from intaglio.run.fake import FakeNetwork
from intaglio.run.float import channels_last, in_layout, run_float
from intaglio.tasks.task import Task

LARGEST_SHARE = 0.1
"""Of the images, at most this share only measures."""
MEASURED_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Ground:
    """What training needs beside the network.

    Attributes:
        samples: Images, with labels where the task's loss counts.
        task: What the network is for.
        reference: The float network in whose direction it is taught, and against which it is
            measured where there are no labels.
        place: A folder for what a killed run needs; None: nothing is written.
        resume: Whether to go on with the run that was saved there.
        about: What else such a run must have in common with the killed one: words to what they are.
        processes: That train together.
        progress: Told how far the work is.
    """

    samples: Samples
    task: Task
    reference: Graph
    place: Path | None = None
    resume: bool = False
    about: Mapping[str, str] = field(default_factory=dict)
    processes: Processes = ALONE
    progress: Progress = field(default_factory=Silent)


def taught(network: FakeNetwork, ground: Ground, options: TrainOptions) -> Learned:
    """Train a network in place, on all images but those that only measure; return what came of it.

    Raises:
        RequestError, DataError, OutputError: As `learn`.
    """
    lesson = _lesson(network, ground, options)
    try:
        return learn(
            lesson,
            place=ground.place,
            resume=ground.resume,
            progress=ground.progress,
            processes=ground.processes,
        )
    finally:
        network.to("cpu")


def fitting_epochs(network: FakeNetwork, ground: Ground, options: TrainOptions) -> float:
    """Return how many epochs fit into the minutes of the options, by the pace of the first steps.

    Nothing of it is kept: what is trained then can have its epochs spelled out, and be repeated.

    Raises:
        RequestError, DataError: As `learn`.
    """
    lesson = _lesson(network, ground, options.model_copy(update={"epochs": None}))
    try:
        with own_draws(ground.processes.device):
            steps = settled_steps(lesson, ground.processes, start=math.nan)
    finally:
        network.to("cpu")
    return steps / steps_in_epoch(options, len(lesson.samples))


def _lesson(network: FakeNetwork, ground: Ground, options: TrainOptions) -> Lesson:
    """Return what is to be learned; the network is put where it computes."""
    held = min(options.held_out, int(len(ground.samples) * LARGEST_SHARE))
    learned, measuring = apart(ground.samples, held, options.seed)
    device = ground.processes.device
    network.to(device)
    if ground.processes.count > 1:
        network.together = ground.processes
    teacher = float_network(ground.reference, device)
    has_figure = ground.task.has_metric and held > 0 and measuring.take([0]).labels is not None
    return Lesson(
        learner=network,
        samples=learned,
        task=ground.task,
        options=options if held else options.model_copy(update={"evaluations": 0}),
        measured=lambda: _figure(network, teacher, measuring, ground, has_figure=has_figure),
        teacher=teacher,
        about=ground.about,
    )


def float_network(graph: Graph, device: str) -> Callable[[Tensor], Sequence[Tensor]]:
    """Return what computes a float network's outputs for images on a device."""
    there = channels_last(graph, device)
    return lambda images: run_float(there, in_layout(images))


def _figure(
    network: FakeNetwork,
    teacher: Callable[[Tensor], Sequence[Tensor]],
    images: SamplesPart,
    ground: Ground,
    *,
    has_figure: bool,
) -> float:
    """Return the task's figure on held-out images; without one, minus the distance to the float.

    Args:
        has_figure: Whether the task has a figure of images that are labelled as these.
    """
    task, device = ground.task, ground.processes.device
    indices = range(len(images))
    if has_figure:
        figures = measured_by_parts(
            lambda batch: network(batch.to(device)),
            images,
            indices=indices,
            task=task,
            names=network.graph.output_titles,
            processes=ground.processes,
            batch=MEASURED_AT_ONCE,
        )
        return next(iter(figures.values()))
    total, count = torch.zeros((), dtype=torch.float64), 0
    together = whole_batches(
        lambda batch: [*network(batch.to(device)), *teacher(batch.to(device))],
        images,
        indices=indices,
        processes=ground.processes,
        batch=MEASURED_AT_ONCE,
    )
    for outputs, _ in together:
        half = len(outputs) // 2
        total += len(outputs[0]) * task.distance(outputs[:half], outputs[half:]).double()
        count += len(outputs[0])
    return -float(total) / max(1, count)
