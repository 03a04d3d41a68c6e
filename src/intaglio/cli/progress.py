"""How far the work is: bars on a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

from intaglio.host.progress import Progress

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def shown_progress(*, as_json: bool, totals: Mapping[str, int] | None = None) -> Iterator[Progress]:
    """Give what shows how far the work is while the block runs.

    A terminal gets bars on standard error, which go when they are done. Elsewhere a step that takes
    long gets a line now and then: on standard output, so that standard error holds nothing but the
    one line of an error; on standard error where standard output is for JSON.

    Args:
        as_json: Whether standard output is for JSON.
        totals: Images of the steps that do not tell it themselves, by name of the step.
    """
    totals = totals or {}
    if not sys.stderr.isatty():
        yield Lines(sys.stderr if as_json else sys.stdout, totals)
        return
    with _bars(Console(stderr=True)) as rich_progress:
        yield Bars(rich_progress, totals)


def _bars(console: Console) -> RichProgress:
    return RichProgress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


class Bars:
    """Progress as one bar of rich for the step that runs."""

    def __init__(self, rich_progress: RichProgress, totals: Mapping[str, int]) -> None:
        self.rich_progress, self.totals = rich_progress, totals
        self._task: TaskID | None = None
        self._step = ""

    def begin(self, step: str, total: int | None) -> None:
        """Show a bar; one that only moves to and fro where the total is not known."""
        self._step = step
        self._task = self.rich_progress.add_task(step, total=total or self.totals.get(step))

    def advance(self, count: int) -> None:
        """Move the bar on."""
        if self._task is not None:
            self.rich_progress.advance(self._task, count)

    def say(self, text: str) -> None:
        """Show words behind the name of the step."""
        if self._task is not None:
            self.rich_progress.update(self._task, description=f"{self._step}: {text}")

    def end(self) -> None:
        """Take the bar away."""
        if self._task is not None:
            self.rich_progress.remove_task(self._task)
        self._task = None


class Lines:
    """Progress as plain lines, for logs: one every SECONDS_BETWEEN_LINES, none for a short step."""

    def __init__(
        self,
        stream: TextIO,
        totals: Mapping[str, int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stream, self.totals, self.clock = stream, totals, clock
        self._step, self._total, self._done, self._said = "", 0, 0, ""
        self._began = self._told = 0.0

    def begin(self, step: str, total: int | None) -> None:
        """Remember when the step began."""
        self._step, self._total, self._done = step, total or self.totals.get(step, 0), 0
        self._said = ""
        self._began = self._told = self.clock()

    def advance(self, count: int) -> None:
        """Count; write a line when the last one is old enough."""
        self._done += count
        now = self.clock()
        if now - self._told >= SECONDS_BETWEEN_LINES:
            self._told = now
            said = f", {self._said}" if self._said else ""
            self.stream.write(f"{self._line(now)}{said}\n")
            self.stream.flush()

    def say(self, text: str) -> None:
        """Remember words for the next line."""
        self._said = text

    def end(self) -> None:
        """Forget the step."""
        self._step = ""

    def _line(self, now: float) -> str:
        if not self._total:
            return f"{self._step}: {self._done} images"
        left = (now - self._began) * (self._total - self._done) / self._done
        return f"{self._step}: {self._done} of {self._total} images, {left:.0f} s left"
