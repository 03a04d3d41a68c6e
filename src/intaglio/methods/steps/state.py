"""What flows from step to step, what a step may look at, and what a step is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from torch import Tensor

from intaglio.errors import RequestError
from intaglio.host.progress import Progress, Silent
from intaglio.ir.graph import Graph
from intaglio.numerics.batch_norm import BatchNorm
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.normal import Normal
from intaglio.numerics.plan import Plan
from intaglio.targets.target import Target
from intaglio.tasks.task import Task


@dataclass(frozen=True, eq=False)
class Prepared:
    """A lowered float network before calibration.

    Attributes:
        reference: The float graph; every step that tunes compares with it.
        graph: The same nodes with the weights and biases that will be quantized. Until there are
            integers it is the reference.
        statistics: Distribution of each layer's result before its activation, from batch norms.
        norms: The batch norm that each layer took in, as the user's network has it.
    """

    reference: Graph
    graph: Graph
    statistics: Mapping[str, Normal] = field(default_factory=dict)
    norms: Mapping[str, BatchNorm] = field(default_factory=dict)

    def current_norms(self) -> dict[str, BatchNorm]:
        """Return the batch norms as they are after steps that scaled channels.

        Layers of which nothing is known any more have no entry.
        """
        known = self.statistics
        return {
            name: norm.scaled_to(known[name]) for name, norm in self.norms.items() if name in known
        }


@dataclass(frozen=True, eq=False)
class Quantized:
    """A network whose ranges are known: a float network, and the integers for it.

    Attributes:
        prepared: The float network. A rounding that was learned is stored in its graph as the real
            numbers that it stands for.
        plan: What is quantized, and how.
        encodings: Scales and zero points.
    """

    prepared: Prepared
    plan: Plan
    encodings: Encodings

    @property
    def reference(self) -> Graph:
        """The float graph; every step that tunes compares with it."""
        return self.prepared.reference

    @property
    def graph(self) -> Graph:
        """The same nodes with the weights and biases that are quantized."""
        return self.prepared.graph

    @property
    def statistics(self) -> Mapping[str, Normal]:
        """Distribution of each layer's result before its activation, from batch norms."""
        return self.prepared.statistics

    def with_graph(self, graph: Graph) -> Quantized:
        """Return the same network with other weights or biases."""
        return replace(self, prepared=replace(self.prepared, graph=graph))


State = Prepared | Quantized
"""A network on its way to integers; which of the two says how far it is."""

Stream = Callable[[], Iterable[tuple[Tensor, Tensor | None]]]
"""Gives all batches anew at each call: images [N, C, H, W], and labels [N] int64 or None."""


@dataclass(frozen=True, eq=False)
class Context:
    """What a step may look at but not change.

    Attributes:
        images: Tuning images [N, C, H, W], as the network takes them; None where there are none.
        target: The runtime whose arithmetic counts.
        seed: Of every random choice.
        labels: Class index of each of the images, [N] int64; None where they are not known.
        stream: More images than fit the memory, batch by batch; None where there are no more.
        task: What the network is for; None where that is not known.
        device: Where a step that trains computes, as PyTorch names it.
        memory_mb: What a step may hold beside the images; it takes fewer images rather than more.
        progress: Told how far the work is.
        place: A folder for what a killed run of training needs; None: nothing is written.
        resume: Whether a step that trains goes on with the run that was saved there.
    """

    images: Tensor | None
    target: Target
    seed: int = 0
    labels: Tensor | None = None
    stream: Stream | None = None
    task: Task | None = None
    device: str = "cpu"
    memory_mb: int = 3000
    progress: Progress = field(default_factory=Silent)
    place: Path | None = None
    resume: bool = False

    @property
    def has(self) -> frozenset[str]:
        """Which of "images", "labels", "stream" and "task" there are."""
        held = {
            "images": self.images is not None and len(self.images) > 0,
            "labels": self.labels is not None,
            "stream": self.stream is not None,
            "task": self.task is not None,
        }
        return frozenset(name for name, is_held in held.items() if is_held)

    @property
    def tuning_images(self) -> Tensor:
        """The images, [N, C, H, W] with N >= 1, of a step that needs them.

        Raises:
            RequestError: If there are none.
        """
        if self.images is None or not len(self.images):
            raise RequestError("there are no images to tune on: give data (--data DIR)")
        return self.images


class StructureStep(Protocol):
    """A method that changes the float network before calibration; a frozen dataclass."""

    def __call__(self, state: Prepared, context: Context) -> Prepared:
        """Return the state after the method; its outputs have the names that they had."""


class NumbersStep(Protocol):
    """A method that changes weights, biases or scales of integers; a frozen dataclass."""

    def __call__(self, state: Quantized, context: Context) -> Quantized:
        """Return the state after the method."""


Step = StructureStep | NumbersStep
"""One method with its settings."""
