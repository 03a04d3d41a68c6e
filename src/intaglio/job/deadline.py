"""A limit on time: what is told how far work is, and ends it where it takes too long."""

from __future__ import annotations

import time
from dataclasses import dataclass

from intaglio.errors import IntaglioError
from intaglio.host.progress import Progress, say


class OutOfTime(IntaglioError):
    """Work was ended at its deadline; what it would have made does not exist."""


@dataclass(frozen=True)
class Deadline:
    """Passes on what work tells of itself.

    Steps return what they make and change nothing before, so that one that is ended leaves
    everything as it was.

    Attributes:
        progress: Who is told.
        ends: When, by `time.perf_counter`.
    """

    progress: Progress
    ends: float

    def begin(self, step: str, total: int | None) -> None:
        """Pass it on; raise OutOfTime where the time is up."""
        self.progress.begin(step, total)
        self._look()

    def advance(self, count: int) -> None:
        """Pass it on; raise OutOfTime where the time is up."""
        self.progress.advance(count)
        self._look()

    def say(self, text: str) -> None:
        """Pass it on."""
        say(self.progress, text)

    def end(self) -> None:
        """Pass it on."""
        self.progress.end()

    def _look(self) -> None:
        if time.perf_counter() > self.ends:
            raise OutOfTime("the minutes of the search were spent")
