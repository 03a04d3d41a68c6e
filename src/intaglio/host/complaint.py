"""What is wrong with a file's values, from pydantic's errors: one line, whatever the file holds."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

LONGEST = 80


@dataclass(frozen=True)
class Complaint:
    """The first thing that is wrong.

    Attributes:
        key: Path of the value, "layers.0.macs"; "" for the whole.
        kind: pydantic's name of the error.
        message: What is wrong with it.
        seen: The value; of lists and objects the kind alone.
    """

    key: str
    kind: str
    message: str
    seen: str


def first_complaint(error: ValidationError) -> Complaint:
    """Return the first of the errors, its key and value cut to what fits a line."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    value = first["input"]
    message = " ".join(first["msg"].split())[: 2 * LONGEST]
    return Complaint(key[: 2 * LONGEST], first["type"], message, shown(value))


def shown(value: object) -> str:
    """Return a value as a message shows it; of lists and objects the kind alone."""
    if type(value) is int and value.bit_length() > LONGEST:
        return f"a whole number of {value.bit_length()} bits"  # its digits may be beyond Python's
    if value is None or isinstance(value, str | bool | int | float):
        return ascii(value)[:LONGEST]
    return f"a {type(value).__name__}"
