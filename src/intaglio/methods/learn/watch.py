"""What is looked at after each step, and reasons to go back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from intaglio.methods.learn.events import Event
from intaglio.methods.learn.learner import Learner
from intaglio.methods.learn.options import TrainOptions


class Watch:
    """Looks at losses and figures."""

    def __init__(self, options: TrainOptions, start: float, learner: Learner) -> None:
        self.options, self.start = options, start
        self.events: list[Event] = []
        self._below = 0

    def after_step(self, step: int, loss: float, learner: Learner) -> str | None:
        """Return a reason to go back, or None."""
        return None if math.isfinite(loss) else f"the loss is {loss}"

    def examine(self, step: int, learner: Learner) -> str | None:
        """Return a reason not to keep a state."""
        return None

    def after_measurement(self, step: int, figure: float) -> str | None:
        """Return a reason to go back, or None."""
        is_below = figure < self.start or math.isnan(figure)
        self._below = self._below + 1 if is_below else 0
        if self._below < self.options.patience:
            return None
        return f"{self._below} measurements in a row were below the start"

    def after_rollback(self) -> None:
        """Forget what led to it."""
        self._below = 0

    def facts(self) -> dict[str, Any]:
        """Return what `restore` needs."""
        return {"below": self._below}

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Take over what `facts` returned."""
        self._below = int(facts["below"])
