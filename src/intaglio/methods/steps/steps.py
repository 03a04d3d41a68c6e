"""The table of steps: what recipes name, and when each may run.

A step on structure changes the float network before anything is calibrated; a step on numbers
changes weights, biases and scales of a network whose ranges are known.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from intaglio.errors import RequestError, UnknownName
from intaglio.host.complaint import first_complaint
from intaglio.methods.steps.state import Step
from intaglio.registry import Registry

STRUCTURE, NUMBERS = "structure", "numbers"


@dataclass(frozen=True)
class StepKind:
    """One entry of the table.

    Attributes:
        name: As in recipes.
        phase: STRUCTURE (before calibration) or NUMBERS (behind it).
        needs_images: Whether it looks at tuning images.
        make: The frozen dataclass of its settings; calling an instance runs the step.
        description: One line for lists.
    """

    name: str
    phase: str
    needs_images: bool
    make: type
    description: str


STEPS: Registry[StepKind] = Registry("step", group="intaglio.methods")

Made = TypeVar("Made", bound=type)


def register_step(name: str, phase: str, *, needs_images: bool = True) -> Callable[[Made], Made]:
    """Return a decorator that files a step's dataclass under `name`."""

    def register(made: Made) -> Made:
        first_line = (made.__doc__ or name).strip().splitlines()[0].rstrip(".")
        STEPS.register(name)(StepKind(name, phase, needs_images, made, first_line))
        return made

    return register


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
