"""The table of steps: what recipes name, when each may run, and what each must be given.

A step on structure changes the float network before anything is calibrated; a step on numbers
changes weights, biases and scales of a network whose ranges are known. Steps that learn are steps
on numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar, overload

from pydantic import TypeAdapter, ValidationError

from intaglio.errors import RequestError, UnknownName
from intaglio.host.complaint import first_complaint
from intaglio.methods.steps.state import NumbersStep, Step, StructureStep
from intaglio.registry import Registry

STRUCTURE: Final = "structure"
NUMBERS: Final = "numbers"

GIVING = {
    "images": "give data (--data DIR, a folder, a .csv manifest or a .parquet file)",
    "labels": "give data with labels (--data DIR with a folder for each, or batches of"
    " (images, labels))",
    "stream": "run it from Python with Context(stream=...), which gives all batches anew",
    "task": "compress gives the task of every network; a step called alone has it from"
    " Context(task=...)",
}
"""What a step may need, and how it is given."""


@dataclass(frozen=True)
class StepKind:
    """One entry of the table.

    Attributes:
        name: As in recipes.
        phase: STRUCTURE (before calibration) or NUMBERS (behind it).
        needs: What the context must hold, of GIVING.
        alters: Whether the step changes what the float network computes; its result is then
            measured against the network from before all steps.
        make: The frozen dataclass of its settings; calling an instance runs the step.
        description: One line for lists.
    """

    name: str
    phase: str
    needs: tuple[str, ...]
    alters: bool
    make: type
    description: str


STEPS: Registry[StepKind] = Registry("step", group="intaglio.methods")

StructureMade = TypeVar("StructureMade", bound=StructureStep)
NumbersMade = TypeVar("NumbersMade", bound=NumbersStep)


@overload
def register_step(
    name: str, phase: Literal["structure"], *, needs: tuple[str, ...] = ..., alters: bool = ...
) -> Callable[[type[StructureMade]], type[StructureMade]]:
    """Return a decorator for a step on structure."""


@overload
def register_step(
    name: str, phase: Literal["numbers"], *, needs: tuple[str, ...] = ..., alters: bool = ...
) -> Callable[[type[NumbersMade]], type[NumbersMade]]:
    """Return a decorator for a step on numbers."""


def register_step(
    name: str, phase: str, *, needs: tuple[str, ...] = ("images",), alters: bool = False
) -> Callable[[type], type]:
    """Return a decorator that files a step's dataclass under `name`.

    Args:
        phase: STRUCTURE or NUMBERS.
        needs: What the context must hold: "images", "labels", "stream", "task".
        alters: Whether the step changes what the float network computes.
    """
    unknown = set(needs) - GIVING.keys()
    if unknown:
        raise ValueError(f"step '{name}' needs {sorted(unknown)}: known are {', '.join(GIVING)}")

    def register(made: type) -> type:
        """File the dataclass, described by its docstring's first line; return it."""
        first_line = (made.__doc__ or name).strip().splitlines()[0].rstrip(".")
        STEPS.register(name)(StepKind(name, phase, needs, alters, made, first_line))
        return made

    return register


def refuse_unmet(steps: Sequence[Mapping[str, Any]], has: Set[str]) -> None:
    """Raise where a step needs what is not there, before any of them is run.

    Args:
        steps: As a recipe states them.
        has: Which of "images", "labels", "stream" and "task" there are.

    Raises:
        RequestError: If a need is not met; names the step, and says what to give.
    """
    for wish in steps:
        kind = STEPS[str(wish.get("name", ""))]
        for need in kind.needs:
            if need not in has:
                raise RequestError(
                    f"step '{kind.name}' needs '{need}', which was not given: {GIVING[need]}, or"
                    " take the step out"
                )


def is_altered(steps: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one of a recipe's steps changes what the float network computes."""
    return any(STEPS[str(wish.get("name", ""))].alters for wish in steps)


def make_step(settings: dict[str, Any]) -> Step:
    """Return a step from its name and settings, as a recipe states them.

    Raises:
        UnknownName: If there is no such step (the nearest name is offered) or setting.
        RequestError: If a setting has the wrong type.
    """
    values = dict(settings)
    kind = STEPS[str(values.pop("name", ""))]
    known = [field.name for field in dataclasses.fields(kind.make)]
    for key in values:
        if key not in known:
            said = ", ".join(known) or "none"
            raise UnknownName(f"unknown setting '{key}' of step '{kind.name}': known are {said}")
    try:
        made: Step = TypeAdapter(kind.make, config=None).validate_python(values)
    except ValidationError as error:
        first = first_complaint(error)
        raise RequestError(
            f"step '{kind.name}', setting '{first.key}': {first.message}, got {first.seen}"
        ) from error
    return made
