"""Weights that jump between two integers."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from intaglio.methods.learn.events import Event
from intaglio.methods.learn.learner import Learner
from intaglio.methods.learn.options import TrainOptions


class Oscillation:
    """Counts how often weights jump."""

    def __init__(self, learner: Learner, options: TrainOptions, total_steps: int) -> None:
        self.total_steps = total_steps
        self.learner, self.options = learner, options

    def after_step(self, step: int) -> list[Event]:
        """Look at the weights after a step."""
        return []

    def pin(self) -> None:
        """Write the integers of frozen weights into their latents."""

    def penalty(self, step: int) -> Tensor | None:
        """Return what is added to the loss."""
        return None

    def tensors(self) -> dict[str, Tensor]:
        """Return what `restore` needs."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` returned."""
