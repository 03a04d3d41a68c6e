"""The command `intaglio`: its commands in one table, its errors in one place."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated

import typer

from intaglio.cli.check import check
from intaglio.cli.compress import compress
from intaglio.cli.doctor import doctor
from intaglio.cli.evaluate import evaluate
from intaglio.cli.failures import DONE, INTERRUPTED, WRONG_REQUEST, exit_code, tell
from intaglio.cli.inspect import inspect
from intaglio.cli.models import models
from intaglio.cli.recipes import recipes

COMMANDS = (compress, models, recipes, inspect, evaluate, check, doctor)

app = typer.Typer(
    name="intaglio",
    help="Make a trained PyTorch network integer-only, and prove its file bit for bit.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in COMMANDS:
    app.command()(command)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        sys.stdout.write(f"intaglio {metadata.version('intaglio')}\n")
        raise typer.Exit


@app.callback()
def start(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    """What stands before a command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code.

    0: done. 2: the request, an input file or the output place is wrong; one line on standard error
    says what. 1: anything else. 130: interrupted.

    Args:
        arguments: Without the program's name; None: those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
            returned = typer.main.get_command(app).main(
                args=given, prog_name="intaglio", standalone_mode=False
            )
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        returned = INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return DONE
    except OSError as error:
        if error.filename is not None:
            return exit_code(error, given)
        _drop_output()
        tell(f"standard output cannot be written: {error.strerror}: send it elsewhere")
        return WRONG_REQUEST
    except Exception as error:  # the last word on every error is had here
        return exit_code(error, given)
    if returned == INTERRUPTED:
        tell("interrupted; --out holds what it held before, or the whole new result")
    return returned if isinstance(returned, int) else DONE


def _drop_output() -> None:
    """Let what is still buffered go nowhere, or Python complains about it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
