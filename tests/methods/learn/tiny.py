"""A network and images that are just large enough to be trained, and runs of training on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intaglio.data.samples import Taken
from intaglio.methods.learn.events import Event
from intaglio.methods.learn.learner import NORMS, SCALES, WEIGHTS
from intaglio.methods.learn.lesson import Learned, Lesson
from intaglio.methods.learn.options import TrainOptions
from intaglio.tasks.classify import CLASSIFY

CLASSES = 3


class TinyLearner(nn.Module):
    """Two layers with a batch norm, dropout and a learned scale between them.

    Attributes:
        frozen: Whether the batch norm keeps its statistics, [] bool.
    """

    norm_momentum = 0.1
    observes = True

    def __init__(self, seed: int = 0, width: int = 6) -> None:
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            self.first = nn.Linear(4, width)
            self.norm = nn.BatchNorm1d(width)
            self.second = nn.Linear(width, CLASSES)
        self.scale = nn.Parameter(torch.zeros(()))
        self.register_buffer("frozen", torch.tensor(False))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the scores [N, CLASSES] for images [N, 1, 2, 2]."""
        adapts = self.training and not bool(self.frozen)
        norm = self.norm
        values = F.batch_norm(
            self.first(images.flatten(1)), norm.running_mean, norm.running_var,
            norm.weight, norm.bias, adapts, self.norm_momentum,
        )  # fmt: skip
        values = F.dropout(values.relu(), 0.1, self.training)
        return [self.second(values * self.scale.exp())]

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters by group."""
        norms = [self.first.bias, self.second.bias, self.norm.weight, self.norm.bias]
        return {
            WEIGHTS: [self.first.weight, self.second.weight],
            NORMS: norms,
            SCALES: [self.scale],
        }

    def grids(self) -> dict[str, Tensor]:
        """Return the one scale."""
        return {"second": self.scale.detach().exp()}

    def weights_on_grids(self) -> dict[str, Any]:
        """Return nothing: no weight is rounded."""
        return {}

    def norm_statistics(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return those of the norm until it is frozen."""
        norm = self.norm
        return {} if bool(self.frozen) else {"norm": (norm.running_mean, norm.running_var)}

    def freeze_norms(self) -> None:
        """Keep the statistics."""
        self.frozen.fill_(True)


@dataclass
class TensorSamples:
    """Images from memory.

    Attributes:
        images: [N, 1, 2, 2].
        labels: [N] int64, or None.
        unreadable: Indices that are left out.
    """

    images: Tensor
    labels: Tensor | None
    unreadable: frozenset[int] = frozenset()
    name: str = "images from memory"
    skipped: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: Sequence[int]) -> Taken:
        """Return images by index."""
        found = [index for index in indices if index not in self.unreadable]
        labels = None if self.labels is None else self.labels[found]
        return Taken(self.images[found], labels, tuple(found))


def images_and_labels(count: int = 40, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Return images of CLASSES kinds: a kind has one pixel that is brighter."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (count,), generator=generator)
    images = torch.randn(count, 4, generator=generator) * 0.5
    images[range(count), labels] += 1.5
    return images.reshape(count, 1, 2, 2), labels


def lesson(learner: TinyLearner | None = None, count: int = 40, **options: Any) -> Lesson:
    """Return a run of ten steps, measured by the loss of held-out images, below 0."""
    learner = learner or TinyLearner()
    given = {"epochs": 2.0, "batch": 8, "evaluations": 2, "lr": 0.1, "freeze": 0.6, **options}
    return Lesson(
        learner,
        TensorSamples(*images_and_labels(count)),
        CLASSIFY,
        TrainOptions(**given),
        held_out_figure(learner),
    )


def held_out_figure(learner: TinyLearner) -> Callable[[], float]:
    """Return what measures a learner as it is."""
    images, labels = images_and_labels(60, seed=2)

    def measured() -> float:
        """Return the cross entropy, below 0."""
        assert not learner.training
        with torch.no_grad():
            return -float(CLASSIFY.loss(learner(images), labels))

    return measured


def measured_as(given: Lesson, figures: Sequence[float]) -> Lesson:
    """Return a lesson whose measurements give these figures, one after the other."""
    waiting = iter(figures)
    return replace(given, measured=lambda: next(waiting))


def done(learned: Learned) -> list[Event]:
    """Return the events but those on how far statistics of batch norms were off."""
    return [event for event in learned.events if "running statistics" not in event.what]


def weights(learner: TinyLearner) -> dict[str, Tensor]:
    """Return copies of all that training changes."""
    return {name: tensor.clone() for name, tensor in learner.state_dict().items()}


def are_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Return whether two states are equal in every bit."""
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


class Stop(Exception):
    """A run that is killed."""


@dataclass
class StopsAfter:
    """Progress that kills the run when so many images were seen."""

    images: int
    seen: int = 0

    def begin(self, step: str, total: int | None) -> None:
        """Do nothing."""

    def advance(self, count: int) -> None:
        """Count; kill."""
        self.seen += count
        if self.seen >= self.images:
            raise Stop

    def end(self) -> None:
        """Do nothing."""
