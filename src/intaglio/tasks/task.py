"""What a network is for, to the rest of the code: how its outputs are judged, and told.

A task is frozen data with these functions. Rooms that know no task (the search, the job, the
report) ask it; only a task knows what a class, a box or a map is. One from outside this package is
added by `TASKS.register("its name")(its object)`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pydantic import JsonValue
from torch import Tensor

from intaglio.data.dataset import Dataset
from intaglio.errors import DataError, RequestError
from intaglio.ir.graph import Graph
from intaglio.registry import Registry
from intaglio.report.figures import PLAIN, Wording
from intaglio.report.shown import Shown

Outputs = Sequence[Tensor]
"""The outputs of a network for a batch, in the network's order, [N, ...] each."""

Shapes = Sequence[tuple[int, ...]]
"""The shapes of the outputs in their order, the batch first (any number may stand for it)."""

Labels = Any
"""What is known of a batch of images, in the task's own form; None where nothing is."""

USUAL = "classify"
"""The task of a report.json that states none: the first ones knew no other."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """Two networks on the same images.

    Attributes:
        n: Images.
        same: Those for which both say the same, in the task's sense; None where it has none. Of a
            task whose images may be the same in part, the sum of these parts, 0..1 each.
        sqnr_db: Of each output by its name, each by itself; the float network is the signal. An
            output that is no signal to the task is not among them.
        by_image: Whether both say the same, [n] bool, in the order of the images, or the part of
            each that is the same, [n] float64, 0..1; None where that was not kept.
        is_sure: Whether the outputs can be nothing but what the task takes them for. Else, and
            where nobody said so either, their SQNR has to be right as well.
        is_varied: Whether the float network says different things of different images. Else any
            network that is as stubborn agrees, and `same` says nothing.
        grouped: Outputs whose channels are of several sizes; their SQNR is the lowest group's.
        parts: Percent of all that either says of any image (each box that it finds) that both say;
            None where an image has one answer, or nothing is said of any.
    """

    n: int
    same: float | None
    sqnr_db: Mapping[str, float]
    by_image: Tensor | None = None
    is_sure: bool = True
    is_varied: bool = True
    grouped: tuple[str, ...] = ()
    parts: float | None = None

    @property
    def percent(self) -> float | None:
        """Percent of images for which both say the same; None where the task has none."""
        return None if self.same is None or not self.n else 100.0 * self.same / self.n


class Meter(Protocol):
    """Counts over batches what a task's figures are made of."""

    def add(self, outputs: Outputs, labels: Labels) -> None:
        """Count one batch that the task's `check` has passed, or would pass."""

    def figures(self) -> dict[str, float]:
        """Return the figures by their names in report.json, the one that a wish is about first.

        None at all where no label says anything that could be right or wrong.
        """

    def lost(self, real: Any) -> float:
        """Return how much worse the figure of the wish is than by the float network's meter.

        In the figure's unit (points of a percentage), over the same images; below 0: better.
        """

    def by_image(self) -> Tensor | None:
        """Return what each image adds to that figure, [N] float64, of which the figure is the mean.

        None where the figure is no mean over images; how sure a loss is is then guessed.
        """

    def chance(self) -> float:
        """Return the figure that a network reaches which gives every image the same answer.

        A float network that is no better has labels that say nothing of it. 0 where there is no
        such answer.
        """


@runtime_checkable
class Resampled(Protocol):
    """A meter whose figure is no mean over images, and that knows how sure a loss is all the same.

    A meter need not have this: without it, and without `by_image`, the error is guessed.
    """

    def error_against(self, real: Any) -> float:
        """Return one standard error of `lost(real)`, in the same unit."""


@runtime_checkable
class Showing(Protocol):
    """A meter that keeps what a page shows: pictures, curves.

    A meter need not have this: then the page shows figures alone.
    """

    def look(self, real: Any, images: Sequence[Tensor] | Tensor) -> None:
        """Look at the images of the batch that this meter and the float network's counted last.

        No more may be kept than a page has room for.

        Args:
            real: The float network's meter.
            images: [C, H, W] each, as the network takes them.
        """

    def shown(self, real: Any, agreement: Agreement, preprocess: Mapping[str, JsonValue]) -> Shown:
        """Return what there is to show of both networks.

        Args:
            real: The float network's meter.
            agreement: Of the two networks.
            preprocess: How images were prepared, as a report has it; empty where it is not known.
        """


class Beside(Protocol):
    """Compares two networks batch by batch."""

    def add(self, float_outputs: Outputs, outputs: Outputs) -> None:
        """Compare one batch."""

    def agreement(self) -> Agreement:
        """Return the agreement over all batches."""


class Task(Protocol):
    """One task."""

    @property
    def name(self) -> str:
        """As reports call it, and the table."""

    @property
    def rank(self) -> int:
        """Where none is named, tasks are asked by rank, the lowest first.

        Classification has 0, the task that fits every network 100.
        """

    @property
    def needs_labels(self) -> bool:
        """Whether a network alone, without labels, has no figures."""

    @property
    def wording(self) -> Wording:
        """How reports tell its figures."""

    @property
    def disagreements_a_point(self) -> float:
        """Where there are no labels: percent of images that differ, for each point that is lost.

        Without meaning where the task has no `same`.
        """

    def misfit(self, outputs: Shapes, labels: Labels) -> str | None:
        """Return why outputs of these shapes, or such labels, are not the task's; None: they are.

        Without labels (None) the outputs alone count.
        """

    def labels(self, dataset: Dataset, outputs: Shapes) -> Sequence[Any]:
        """Return the label of each image of a data set in its order, no image opened.

        Raises:
            DataError: If one of them is none that the network's outputs can be held against.
        """

    def batches(self, data: Any, sample_shape: tuple[int, ...]) -> Iterator[tuple[Tensor, Labels]]:
        """Yield (images [N, C, H, W] float32, labels) a batch from what a user passes to evaluate.

        Raises:
            DataError: If an item is nothing that the task can evaluate on.
        """

    def check(self, outputs: Outputs, labels: Labels) -> None:
        """Make sure that a batch of outputs and its labels belong to the task and together.

        Raises:
            RequestError: If they do not; its kinds say what (intaglio.errors).
        """

    def meter(self, names: Sequence[str]) -> Meter:
        """Return a new meter; `names` are those of the outputs."""

    def beside(self, names: Sequence[str], *, is_told: bool) -> Beside:
        """Return a new comparison of two networks.

        Args:
            names: Of the outputs.
            is_told: Whether the user, or labels, said that the network is for this task.
        """

    @property
    def has_metric(self) -> bool:
        """Whether a wish is about points of its figure; else about the SQNR of each output."""

    def loss(self, outputs: Outputs, labels: Labels, *, smoothing: float = 0.0) -> Tensor:
        """Return what training makes small: a mean over the batch, [].

        Args:
            smoothing: Share of a label that is spread over all classes, 0..1.

        Raises:
            RequestError: If there is smoothing and the task has no classes.
        """

    def distance(
        self, outputs: Outputs, float_outputs: Outputs, *, temperature: float = 1.0
    ) -> Tensor:
        """Return how far a network is from a float one: what distillation makes small.

        A mean over the batch, []; at its lowest where both are equal.

        Args:
            temperature: By which scores of classes are divided first, > 0.
        """


TASKS: Registry[Task] = Registry("task", group="intaglio.tasks")


def task_for(
    outputs: Shapes, labels: Labels = None, name: str | None = None, own: Task | None = None
) -> Task:
    """Return the task of a network.

    Args:
        outputs: Shapes of its outputs.
        labels: Those of one batch, or None.
        name: What the user chose; None: the network's own, else the first that fits, by rank.
        own: The task that the network brings: a detector's, which says how its outputs are read.

    Raises:
        UnknownName: If there is no task of that name.
        DataError: If the chosen task, or every task, is misfit; says why.
    """
    chosen = own if own is not None and name in (None, own.name) else None
    if chosen is None and name is not None:
        chosen = TASKS[name]
    if chosen is not None:
        reason = chosen.misfit(outputs, labels)
        if reason is not None:
            raise DataError(f"task '{chosen.name}': {reason}")
        return chosen
    reasons = []
    for task in _by_rank():
        reason = task.misfit(outputs, labels)
        if reason is None:
            return task
        reasons.append(reason)
    raise DataError("; ".join(reasons))


def labelled_task_for(outputs: Shapes) -> Task:
    """Return the first task that images with labels are evaluated by, as the outputs alone tell.

    A task behind those that need no labels is told by labels or by the user, never by outputs.

    Raises:
        RequestError: If the network fits none; says what it would need.
    """
    reasons = []
    tasks = _by_rank()
    last = next((task.rank for task in tasks if not task.needs_labels), math.inf)
    for task in tasks:
        if task.needs_labels and task.rank < last:
            reason = task.misfit(outputs, None)
            if reason is None:
                return task
            reasons.append(reason)
    raise RequestError(f"{'; '.join(reasons)}: leave --eval out")


def _by_rank() -> list[Task]:
    return sorted((TASKS[name] for name in TASKS), key=lambda task: task.rank)


def output_shapes(graph: Graph) -> list[tuple[int, ...]]:
    """Return the shapes of a graph's outputs."""
    return [graph[name].shape for name in graph.outputs]


def stated_name(task: Task) -> str | None:
    """Return the task as a report states it; None for the usual one."""
    return None if task.name == USUAL else task.name


def wording_of(stated: object) -> Wording:
    """Return how to tell the figures of a report that states this task, or None.

    Those of a task that is not installed are told by their keys.
    """
    name = USUAL if stated is None else stated
    return TASKS[name].wording if isinstance(name, str) and name in TASKS else PLAIN
