"""Running torch.export without its warnings, logs and prints."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

import torch


@contextmanager
def quiet() -> Iterator[None]:
    """Keep torch.export's warnings, logs and prints to itself: what matters is in the error.

    It need not write at every node where in whose code it was made either: nobody reads that here,
    and it takes a fifth of the time.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()), _without_stack_traces():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


@contextmanager
def _without_stack_traces() -> Iterator[None]:
    before = torch.fx.config.do_not_emit_stack_traces
    torch.fx.config.do_not_emit_stack_traces = True
    try:
        yield
    finally:
        torch.fx.config.do_not_emit_stack_traces = before


def one_line(error: Exception) -> str:
    """Return the kind of an error and its first line."""
    text = str(error).strip().splitlines()
    first = text[0].split("For more information")[0].rstrip(" .!") if text else ""
    return f"{type(error).__name__}: {first[:300]}"
