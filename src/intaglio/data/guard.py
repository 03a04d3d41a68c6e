"""The guard behind `--data none`: while it stands, no data set and no image can be opened.

`forbid_images()` sets a context variable that `open_dataset`, `class_names`, `batches`, each batch
taken and each opening of an item look at. A context variable belongs to the thread that set it;
the decoding thread of a stream inherits it. Code that reads image files without this package is
out of the guard's reach: a test watches the operating system's file openings for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from intaglio.errors import IntaglioError

_FORBIDDEN: ContextVar[bool] = ContextVar("images_forbidden", default=False)


@contextmanager
def forbid_images() -> Iterator[None]:
    """Make any use of image data inside the `with` block raise; blocks may be nested."""
    token = _FORBIDDEN.set(True)
    try:
        yield
    finally:
        _FORBIDDEN.reset(token)


def refuse_if_forbidden(what: str) -> None:
    """Do nothing outside of `forbid_images`.

    Args:
        what: What is about to be read, for the message.

    Raises:
        IntaglioError: Inside of it. This is a defect of the step that asked, not of the request.
    """
    if _FORBIDDEN.get():
        raise IntaglioError(
            f"a step that must work without data tried to read {what}; nothing was opened."
            f" This is a defect of that step: report it, or give --data"
        )
