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
    plain = value is None or isinstance(value, str | bool | int | float)
    seen = ascii(value)[:LONGEST] if plain else f"a {type(value).__name__}"
    message = " ".join(first["msg"].split())[: 2 * LONGEST]
    return Complaint(printable(key)[: 2 * LONGEST], first["type"], message, seen)


def printable(text: str) -> str:
    """Return text with line breaks and other characters that do not print escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )
