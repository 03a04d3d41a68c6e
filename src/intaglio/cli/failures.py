"""What the user is told when something fails: one line, and an exit code that says whose fault."""

from __future__ import annotations

import itertools
import sys
import traceback
from collections.abc import Sequence

from intaglio.errors import RequestError, one_line

DONE, FAILED, WRONG_REQUEST, INTERRUPTED = 0, 1, 2, 130


def tell(message: str) -> None:
    """Write one line on standard error: no line breaks, and nothing that steers the terminal."""
    sys.stderr.write(f"intaglio: error: {one_line(message)}\n")
    sys.stderr.flush()


def tell_note(message: str) -> None:
    """Write one line on standard error about something that is no error."""
    sys.stderr.write(f"intaglio: {one_line(message)}\n")
    sys.stderr.flush()


def exit_code(error: Exception, arguments: Sequence[str]) -> int:
    """Tell the user about an error; return the exit code."""
    if isinstance(error, RequestError):
        tell(str(error))
        return WRONG_REQUEST
    if is_usage_error(error):
        tell(usage_message(error, arguments))
        return WRONG_REQUEST
    tell(f"{type(error).__name__}: {error}")
    traceback.print_exception(error)
    return FAILED


def is_usage_error(error: Exception) -> bool:
    """Whether typer refused the command line.

    Told by what such an error can do: typer keeps its classes in a private package, and in another
    one in its older versions.
    """
    return getattr(error, "exit_code", None) == WRONG_REQUEST and hasattr(error, "format_message")


def usage_message(error: Exception, arguments: Sequence[str]) -> str:
    """Return one sentence for an error of typer, with the nearest names and where to look."""
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", " ".join(["intaglio", *arguments[:1]]))
    option = getattr(error, "option_name", None)
    message = " ".join(str(error.format_message()).split()).rstrip(".")  # type: ignore[attr-defined]
    if option is not None and message.startswith("No such option"):
        near = sorted(getattr(error, "possibilities", None) or [])
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        message = f"unknown option {option} of '{command}'{hint}"
    elif message.startswith("No such command"):
        message = message.replace("No such command", "unknown command")
    message += _value_seen(error, arguments)
    return f"{message}{'' if message.endswith('?') else ';'} see '{command} --help'"


def _value_seen(error: Exception, arguments: Sequence[str]) -> str:
    """Return what was given for the option that typer's error is about; typer does not say it."""
    names = getattr(getattr(error, "param", None), "opts", ())
    for name, value in itertools.pairwise(arguments):
        if name in names:
            return f", got '{value}'"
    return ""
