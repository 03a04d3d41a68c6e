"""What is to be learned, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from intaglio.data.samples import Samples
from intaglio.methods.learn.events import Event
from intaglio.methods.learn.learner import Learner
from intaglio.methods.learn.options import TrainOptions
from intaglio.tasks.task import Task


@dataclass(frozen=True, eq=False)
class Lesson:
    """One run of training.

    Attributes:
        learner: The network; it is changed in place. With several processes it keeps its buffers
            equal in all of them.
        samples: The images that it learns from.
        task: Which has the loss.
        options: How it learns.
        measured: Returns the figure of the learner as it is on held-out images, higher is better;
            called with the learner set to measuring.
        start: That figure before training; None: it is measured first.
        teacher: Returns the float network's outputs for images [N, C, H, W]; needed where
            `options.distill` is above 0.
        about: What else a run that goes on must have in common with the one that was killed: words
            of the user (model, scheme, method) to what they are.
    """

    learner: Learner
    samples: Samples
    task: Task
    options: TrainOptions
    measured: Callable[[], float]
    start: float | None = None
    teacher: Callable[[Tensor], Sequence[Tensor]] | None = None
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Learned:
    """What came of a run.

    Attributes:
        events: What was noticed and done, in order.
        epochs: How often each image was seen.
        steps: How many were done.
        seconds: That they took, measurements and all; of a run that went on, all its parts.
        rolled_back: Whether the network is the best that was measured, not the last one trained.
        start, last, best: Figures before training, of the last measurement, and of the best one;
            None where nothing was measured.
        total: Steps that the run was to have.
    """

    events: tuple[Event, ...]
    epochs: float
    steps: int
    seconds: float
    rolled_back: bool
    start: float | None
    last: float | None
    best: float | None
    total: int = 0
