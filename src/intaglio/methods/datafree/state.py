"""Where a game is: all that it needs to go on, or to go back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from intaglio.methods.datafree.adam import adam_tensors, restore_adam
from intaglio.methods.datafree.generator import Generator
from intaglio.methods.datafree.held_out import HeldOut
from intaglio.methods.datafree.losses import Losses
from intaglio.methods.datafree.options import Order, Rules, order_of
from intaglio.methods.datafree.tapped import Seen, Teacher
from intaglio.methods.learn.events import Event
from intaglio.methods.learn.loss_record import LossRecord
from intaglio.methods.learn.optimizer import Optimizer
from intaglio.methods.learn.parts import Tensors, copied, joined, under
from intaglio.methods.learn.watch import Watch
from intaglio.run.fake import FakeNetwork

BETAS = (0.5, 0.999)
"""Of the generator's Adam, as published by both methods."""


@dataclass(eq=False)
class Players:
    """Who plays.

    Attributes:
        student: Quantized, in measuring mode throughout: its batch norms are folded.
        generator: Makes the images.
        teacher: The float network.
        losses: What the two make small.
    """

    student: FakeNetwork
    generator: Generator
    teacher: Teacher
    losses: Losses

    def shown_to_student(self, images: Tensor) -> Seen:
        """Return what the student makes of images [N, C, H, W]."""
        return Seen(*self.student.values(images, self.teacher.taps))


@dataclass(eq=False)
class Game:
    """A game as it is now.

    Attributes:
        rules: By which it is played.
        players: Who plays.
        optimizer: Of the student.
        adam: Of the generator.
        watch: Looks after the student.
        record: The generator's losses, as absolute numbers.
        good: Tensors of the last state that measured no worse than the start.
        good_turn: Turns that were done then.
        total: Turns of the game.
        goal: Steps of the student in it.
        turn: That are done.
        steps: Of the student, that are done.
        held: What is measured on; None until the student is about to move.
        start: The discrepancy then; start_rounded: that of outputs on their grids.
        figures: (turns done, discrepancy) of each measurement.
        factor: Of all rates; below 1 once the game went back.
        stopped: Whether it ended before its last turn.
        events: What was done, but for what the watch tells.
        seconds: Spent before this process went on with the game.
    """

    rules: Rules
    players: Players
    optimizer: Optimizer
    adam: torch.optim.Adam
    watch: Watch
    record: LossRecord = field(default_factory=LossRecord)
    good: Tensors = field(default_factory=dict)
    good_turn: int = 0
    total: int = 0
    goal: int = 0
    turn: int = 0
    steps: int = 0
    held: HeldOut | None = None
    start: float = math.nan
    start_rounded: float = math.nan
    figures: list[tuple[int, float]] = field(default_factory=list)
    factor: float = 1.0
    stopped: bool = False
    events: list[Event] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def order(self) -> Order:
        """Who moves when."""
        return order_of(self.rules)

    def tell(self, what: str) -> None:
        """Remember an event of now."""
        self.events.append(Event(self.turn, what))

    def told(self) -> tuple[Event, ...]:
        """Return all events in their order."""
        return tuple(sorted([*self.events, *self.watch.events], key=lambda event: event.step))

    def tensors(self) -> dict[str, Tensor]:
        """Return copies of all that changes."""
        players = self.players
        return copied(
            joined(
                {
                    "learner": players.student.state_dict(),
                    "generator": players.generator.state_dict(),
                    "optimizer": self.optimizer.tensors(),
                    "adam": adam_tensors(self.adam),
                    "losses": players.losses.tensors(),
                }
            )
        )

    def restore(self, tensors: Tensors) -> None:
        """Take over what `tensors` returned."""
        players = self.players
        players.student.load_state_dict(under(tensors, "learner"))
        players.generator.load_state_dict(under(tensors, "generator"))
        self.optimizer.restore(under(tensors, "optimizer"))
        restore_adam(self.adam, under(tensors, "adam"))
        players.losses.restore(under(tensors, "losses"))

    def keep_good(self) -> None:
        """Let this be the state that the game goes back to."""
        self.good, self.good_turn = self.tensors(), self.turn

    def go_back(self) -> None:
        """Return to the last good state; turns are counted on, so that other images come."""
        self.restore(self.good)


def begun(rules: Rules, players: Players, device: str) -> Game:
    """Return a game before its first turn.

    Args:
        device: Where it is played.
    """
    players.student.freeze_norms()
    players.student.train(False)
    game = Game(
        rules,
        players,
        Optimizer(players.student.groups(), rules.train, device),
        torch.optim.Adam(players.generator.parameters(), rules.generator_rate, betas=BETAS),
        Watch(rules.train, math.nan, players.student),
        goal=rules.steps,
        total=order_of(rules).total(rules.steps),
    )
    game.keep_good()
    return game


@contextmanager
def held_still(network: nn.Module) -> Iterator[None]:
    """Let no parameter of a network ask for a gradient: what goes through it goes to its input."""
    moving = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in moving:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in moving:
            parameter.requires_grad_(True)
