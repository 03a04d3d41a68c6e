"""The record of a run: each step's name, seconds, peak memory and what it changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from intaglio.host.memory import peak_mb
from intaglio.host.progress import Progress, Silent
from intaglio.report.parts import StepRow

T = TypeVar("T")


@dataclass
class Recorder:
    """Tells the progress of steps and remembers them for the report."""

    progress: Progress = field(default_factory=Silent)
    steps: list[StepRow] = field(default_factory=list)

    def step(
        self,
        name: str,
        work: Callable[[], T],
        total: int | None = None,
        changed: Callable[[T], Any] | None = None,
    ) -> T:
        """Do one step; return what it made.

        Args:
            total: How many images (or layers) it goes through, where that is known.
            changed: Says from what it made what the report states; plain values.
        """
        self.progress.begin(name, total)
        began = time.perf_counter()
        try:
            made = work()
        finally:
            self.progress.end()
        seconds = time.perf_counter() - began
        said = _counts(made) if changed is None else changed(made)
        self.steps.append(StepRow(name, seconds, peak_mb(), said))
        return made


def _counts(made: object) -> Any:
    if isinstance(made, dict) and all(isinstance(value, int) for value in made.values()):
        return {name: count for name, count in made.items() if count}
    return None
