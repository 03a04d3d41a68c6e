"""Curves of a training as event files, which TensorBoard shows while it goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intaglio.errors import OutputError, RequestError, cause
from intaglio.host.progress import Progress, say


@dataclass(frozen=True)
class Charted:
    """Progress that is shown, and whose curves are written.

    Attributes:
        progress: What shows it.
        writer: Of event files.
    """

    progress: Progress
    writer: Any

    def begin(self, step: str, total: int | None) -> None:
        """Pass it on."""
        self.progress.begin(step, total)

    def advance(self, count: int) -> None:
        """Pass it on."""
        self.progress.advance(count)

    def say(self, text: str) -> None:
        """Pass it on."""
        say(self.progress, text)

    def end(self) -> None:
        """Pass it on."""
        self.progress.end()

    def chart(self, step: int, values: Mapping[str, float]) -> None:
        """Write one point of each curve."""
        # the type stands in a generated file of the package
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        points = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        summary = Summary(value=points)
        self.writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))


@contextmanager
def charted(progress: Progress, folder: Path) -> Iterator[Charted]:
    """Give progress whose curves are written into a folder, which is made.

    Raises:
        RequestError: If TensorBoard is not installed.
        OutputError: If the folder cannot be written.
    """
    try:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError as error:
        raise RequestError(
            f"--tensorboard needs the package tensorboard ({cause(error)}): pip install"
            " 'intaglio[tensorboard]', or leave it out"
        ) from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writer = EventFileWriter(str(folder))
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror}: choose another --tensorboard"
        ) from error
    try:
        yield Charted(progress, writer)
    finally:
        writer.close()
