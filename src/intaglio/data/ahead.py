"""Batches made by one thread, one or two ahead of their use.

The thread decodes while the caller computes (Pillow and NumPy let go of the interpreter lock). At
most two batches wait beside the one in the caller's hands. One thread, because batches must come in
their order and the caller's arithmetic wants the other cores.
"""

from __future__ import annotations

import contextvars
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

from intaglio.data.samples import Samples, Taken

BATCHES_AHEAD = 2
Made = TypeVar("Made")


def taken_ahead(samples: Samples, indices_of_step: Iterator[Sequence[int]]) -> Ahead[Taken]:
    """Return an iterator over batches of samples, each taken before it is asked for.

    What goes wrong in taking a batch is raised where that batch is asked for. Nothing is taken
    before the first one is.

    Args:
        samples: Where to take from.
        indices_of_step: What each batch holds; it may be endless, and is read by the thread.
    """

    def take_next() -> Taken | None:
        """Return the next batch, None behind the last step."""
        indices = next(indices_of_step, None)
        return None if indices is None else samples.take(indices)

    return Ahead(take_next, threading.Event())


class Ahead(Iterator[Made], Generic[Made]):
    """An iterator over what a function makes in a thread; can be gone through once.

    The thread ends with the last batch, with an error, with `close()`, with the `with` block, or
    when the iterator is no longer referred to, as after a `break`.
    """

    def __init__(self, make: Callable[[], Made | None], stop: threading.Event) -> None:
        """Keep what makes batches; nothing is made yet.

        Args:
            make: Returns the next batch, None when there is no other; always called by one thread.
                It must not refer to this object: dropping that ends the thread.
            stop: Is set when no other batch is wanted, so that a long one may be broken off.
        """
        self._make = make
        self._waiting: deque[Future[Made | None]] = deque()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="intaglio-images")
        self._end = weakref.finalize(self, _end, stop, self._executor)

    def __next__(self) -> Made:
        """Return the next batch; raise what went wrong in making it, or StopIteration."""
        if not self._end.alive:
            raise StopIteration
        while len(self._waiting) < BATCHES_AHEAD:
            self._submit()
        try:
            made = self._waiting.popleft().result()
        except BaseException:
            self.close()
            raise
        if made is None:
            self.close()
            raise StopIteration
        self._submit()
        return made

    def _submit(self) -> None:
        # Each time anew: images may be forbidden since the last batch (guard.py).
        context = contextvars.copy_context()
        self._waiting.append(self._executor.submit(context.run, self._make))

    def close(self) -> None:
        """End the thread and let go of the batches that wait; may be called again."""
        self._end()
        self._waiting.clear()
        self._executor.shutdown(wait=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _end(stop: threading.Event, executor: ThreadPoolExecutor) -> None:
    stop.set()
    executor.shutdown(wait=False, cancel_futures=True)
