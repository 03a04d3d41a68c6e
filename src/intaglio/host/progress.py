"""How long work tells where it is; the command line draws it, the library stays silent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar, runtime_checkable

Part = TypeVar("Part")


class Progress(Protocol):
    """Told of steps as they begin, advance and end; one step at a time."""

    def begin(self, step: str, total: int | None) -> None:
        """A step begins; `total` images, or None where that is not known."""

    def advance(self, count: int) -> None:
        """`count` more images are done."""

    def end(self) -> None:
        """The step has ended."""


@runtime_checkable
class Saying(Protocol):
    """Progress that has room for words on what is being done."""

    def say(self, text: str) -> None:
        """Show a few words beside how far the step is, in place of those before."""


def say(progress: Progress, text: str) -> None:
    """Show a few words on the step, where this progress has room for them."""
    if isinstance(progress, Saying):
        progress.say(text)


@runtime_checkable
class Charting(Protocol):
    """Progress that keeps curves."""

    def chart(self, step: int, values: Mapping[str, float]) -> None:
        """Keep numbers of a step, by the name of their curve."""


def chart(progress: Progress, step: int, values: Mapping[str, float]) -> None:
    """Give numbers of a step to this progress, where it keeps curves."""
    if isinstance(progress, Charting):
        progress.chart(step, values)


class Silent:
    """Progress that nobody watches."""

    def begin(self, step: str, total: int | None) -> None:
        """Do nothing."""

    def advance(self, count: int) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""


def told(
    parts: Iterable[Part], advance: Callable[[int], None], size: Callable[[Any], int] = len
) -> Iterator[Part]:
    """Yield parts (batches of images) unchanged; tell the size of each when it was used."""
    for part in parts:
        yield part
        advance(size(part))
