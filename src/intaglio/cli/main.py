"""The command `intaglio`: its commands in one table, its errors in one place.

What a command needs is imported when it is run: with torch in it, help and the refusal of a wrong
option would take seconds.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import metadata
from inspect import signature
from typing import Annotated, Any, TypeVar

import typer

from intaglio.cli.failures import DONE, INTERRUPTED, WRONG_REQUEST, exit_code, tell
from intaglio.cli.names import refuse_unknown_names
from intaglio.cli.options import (
    CheckRequest,
    CompressRequest,
    DoctorRequest,
    EvaluateRequest,
    InspectRequest,
    ListRequest,
)
from intaglio.cli.surgery_options import SurgeryRequest
from intaglio.cli.train_options import TrainRequest
from intaglio.errors import PartnerLost

Request = TypeVar("Request")

ALONE = {"--distill": "1.0"}
"""Options that may stand without a value, and the value that they then have."""
NUMBER = re.compile(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?")

app = typer.Typer(
    name="intaglio",
    help="Make a trained PyTorch network integer-only, and prove its file bit for bit.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


def command(
    asked: Callable[..., Request],
) -> Callable[[Callable[[Request], None]], Callable[[Request], None]]:
    """Return a decorator for a command: its name, what its help says, and what it does.

    Args:
        asked: Class of its request, whose fields are its arguments and options.
    """

    def add(work: Callable[[Request], None]) -> Callable[[Request], None]:
        """File the command; return what it does, unchanged."""

        def answer(**given: Any) -> None:
            """Do the work for what typer read from the command line."""
            request = asked(**given)
            refuse_unknown_names(request)
            work(request)

        # typer reads what a command takes from a signature
        answer.__signature__ = signature(asked, eval_str=True)  # type: ignore[attr-defined]
        app.command(work.__name__, help=work.__doc__)(answer)
        return work

    return add


@command(CompressRequest)
def compress(request: CompressRequest) -> None:
    """Write the integer network of MODEL as a .tflite whose every bit is known, and a report."""
    from intaglio.cli.compress import run

    run(request)


@command(TrainRequest)
def train(request: TrainRequest) -> None:
    """Train MODEL in integers, or in float; leave its weights, and all that compress leaves."""
    from intaglio.cli.train import run

    run(request)


@command(SurgeryRequest)
def surgery(request: SurgeryRequest) -> None:
    """Rewrite MODEL change by change, so that it quantizes well; leave it, and what each cost."""
    from intaglio.cli.surgery import run

    run(request)


@command(ListRequest)
def models(request: ListRequest) -> None:
    """List the networks of the zoo: parameters, multiply-accumulates, input, preprocessing."""
    from intaglio.cli.models import run

    run(request)


@command(ListRequest)
def recipes(request: ListRequest) -> None:
    """List the recipes by name, each with one line on what it does."""
    from intaglio.cli.recipes import run

    run(request)


@command(InspectRequest)
def inspect(request: InspectRequest) -> None:
    """List layers, multiply-accumulates and parameters, and the hazards of quantizing MODEL."""
    from intaglio.cli.inspect import run

    run(request)


@command(EvaluateRequest)
def evaluate(request: EvaluateRequest) -> None:
    """Report the top-1 and top-5 accuracy of a .tflite file on its own runtime."""
    from intaglio.cli.evaluate import run

    run(request)


@command(CheckRequest)
def check(request: CheckRequest) -> None:
    """Compare every quantized value of a file with its twin; the exit code is 1 if one differs."""
    from intaglio.cli.check import run

    run(request)


@command(DoctorRequest)
def doctor(request: DoctorRequest) -> None:
    """Say what will cost accuracy when MODEL is quantized: cause, layer, figures, remedy."""
    from intaglio.cli.doctor import run

    run(request)


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
    given = _with_values(sys.argv[1:] if arguments is None else arguments)
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
    except PartnerLost as error:
        code = exit_code(error, given)
        sys.stdout.flush()
        os._exit(code)  # at its usual end Gloo may abort: it waits for a process that is gone
    except Exception as error:  # the last word on every error is had here
        return exit_code(error, given)
    if returned == INTERRUPTED:
        tell("interrupted; --out holds what it held before, or the whole new result")
    return returned if isinstance(returned, int) else DONE


def _with_values(arguments: Sequence[str]) -> list[str]:
    """Return the words of the command line; options that may stand alone have their value."""
    found: list[str] = []
    for word, following in zip(arguments, [*arguments, ""][1:], strict=True):
        alone = ALONE.get(word)
        is_alone = alone is not None and not NUMBER.fullmatch(following)
        found.append(f"{word}={alone}" if is_alone else word)
    return found


def _drop_output() -> None:
    """Let what is still buffered go nowhere, or Python complains about it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
