"""What a game may be told, whichever losses it is played with."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

import torch

from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.steps.state import Quantized

HELD_OUT = 64
STEP_SHARE = 4e-3
"""Of the step of a weight's grid, how far one of Adam's steps moves it: at four bits some 1e-4, at
eight a sixteenth of that. What suits four bits moves weights on finer grids by whole steps.
"""


@dataclass(frozen=True)
class Rules:
    """Settings of a game between a generator and a student.

    Attributes:
        train: Of the student: rate, optimizer, batch, clip, evaluations, patience, save_seconds,
            seed; its epochs do not count.
        steps: Of the student.
        minutes: What all may take; the steps are those that fit, `steps` at most.
        latent, width, norm_eps: Of the generator (generator.py).
        generator_rate: Of Adam (0.5, 0.999), which moves the generator.
        warmup: Steps of the generator before the student moves.
        student_steps: Of the student, for one of the generator.
        together: Whether the student learns from the very images of the generator's step.
        superposed: Probability that an image is made of two classes.
        ranges: How the student's grids follow: "fixed" or "lsq".
        inundation: Least share of each layer's integers that a step changes (inundation.py); 0: of
            none.
        held_out: Images that only measure, of noise and of the generator.
    """

    train: TrainOptions
    steps: int = 200
    minutes: float | None = None
    latent: int = 100
    width: int = 32
    norm_eps: float = 1e-5
    generator_rate: float = 1e-3
    warmup: int = 0
    student_steps: int = 5
    together: bool = False
    superposed: float = 0.0
    ranges: str = "fixed"
    inundation: float = 0.0
    held_out: int = HELD_OUT

    def plain(self) -> dict[str, Any]:
        """Return all of it as plain JSON."""
        return {**asdict(self), "train": self.train.model_dump()}


@dataclass(frozen=True)
class Move:
    """What is done in one turn.

    Attributes:
        generator, student: Who moves.
    """

    generator: bool
    student: bool


@dataclass(frozen=True)
class Order:
    """Who moves when.

    Attributes:
        warmup: Turns in which the generator alone moves.
        student_steps: Of the student in a round.
        together: Whether both move in a round's first turn; else the generator's follows those of
            the student.
    """

    warmup: int
    student_steps: int
    together: bool
    turns: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "turns", self.student_steps + (not self.together))

    def move(self, turn: int) -> Move:
        """Return what is done in a turn, counted from 0."""
        if turn < self.warmup:
            return Move(generator=True, student=False)
        place = (turn - self.warmup) % self.turns
        if self.together:
            return Move(generator=place == 0, student=True)
        return Move(generator=place == self.student_steps, student=place < self.student_steps)

    def total(self, steps: int) -> int:
        """Return the turns in which the student takes so many steps; its own is the last one."""
        rounds, rest = divmod(steps, self.student_steps)
        if rest or self.together:
            return self.warmup + rounds * self.turns + rest
        return self.warmup + rounds * self.turns - 1


def usual_rate(state: Quantized) -> float:
    """Return the rate of a student's weights where nobody says it, by the steps of their grids."""
    scales = [grid.scale.flatten() for grid in state.encodings.weights.values()]
    return STEP_SHARE * float(torch.cat(scales).median()) if scales else 0.1 * STEP_SHARE


class Teaching(Protocol):
    """What a step says of how its student is taught."""

    @property
    def batch(self) -> int:
        """Images in a step."""

    @property
    def lr(self) -> float | None:
        """Rate of weights at its highest; None: `usual_rate`."""

    @property
    def optimizer(self) -> Literal["sgd", "adamw"]:
        """Of weights."""

    @property
    def evaluations(self) -> int:
        """How often it is measured."""

    @property
    def save_seconds(self) -> float:
        """At most this long is lost when a run is killed."""


def taught(step: Teaching, state: Quantized, seed: int) -> TrainOptions:
    """Return how the student of a step is taught: gradients clipped, weights not drawn to zero."""
    return TrainOptions(
        batch=step.batch,
        lr=usual_rate(state) if step.lr is None else step.lr,
        optimizer=step.optimizer,
        warmup=0.05,
        clip=1.0,
        weight_decay=0.0,
        evaluations=step.evaluations,
        save_seconds=step.save_seconds,
        seed=seed,
    )


def order_of(rules: Rules) -> Order:
    """Return who moves when."""
    return Order(rules.warmup, rules.student_steps, rules.together)
