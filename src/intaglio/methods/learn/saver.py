"""When a run is saved: as soon as the last time is long ago."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from intaglio.methods.learn.checkpoint import Checkpoint, save

Run = TypeVar("Run")


@dataclass(eq=False)
class Saver(Generic[Run]):
    """Saves a run now and then.

    Attributes:
        place: The folder; None: nothing is saved.
        every_seconds: At most this long is lost.
        checkpoint: Returns a run as a checkpoint, for the seconds that it went on in this process.
        clock: Seconds.
    """

    place: Path | None
    every_seconds: float
    checkpoint: Callable[[Run, float], Checkpoint]
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._last = self._began = self.clock()

    def seconds(self) -> float:
        """Return how long the run has gone on in this process."""
        return self.clock() - self._began

    def look(self, run: Run, *, is_due: bool = False) -> None:
        """Save the run if the last time is long ago, or it is due anyway."""
        if self.place is None:
            return
        if is_due or self.clock() - self._last >= self.every_seconds:
            save(self.checkpoint(run, self.seconds()), self.place)
            self._last = self.clock()
