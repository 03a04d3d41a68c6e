"""Between a report's dataclasses and plain JSON values."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from intaglio.errors import IntaglioError, RequestError
from intaglio.host.complaint import first_complaint, shown
from intaglio.report.figures import DECIBEL, Figure, Wording

T = TypeVar("T")

CHANGED = "Was it written by another version, or changed by hand?"


def to_plain(value: Any, wording: Wording, where: str = "report") -> Any:
    """Return `value` as dicts, lists, strings, finite numbers, booleans and None.

    Follows the fields' marks (see `intaglio.report.parts`): optional fields that are None are left
    out, digits are rounded, and the infinity that a field allows becomes None. Figures stand where
    their field stands, each under its own key, rounded as their wording says.

    Raises:
        IntaglioError: At NaN, infinity where it has no meaning, or a type that JSON has not.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _fields(value, wording, where)
    if isinstance(value, dict):
        return {str(key): to_plain(item, wording, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item, wording, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise IntaglioError(f"{where} is {value}, which JSON cannot hold: it was not measured well")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise IntaglioError(f"{where} is a {type(value).__name__}, which JSON cannot hold")


def _fields(value: Any, wording: Wording, where: str) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    fields = dataclasses.fields(value)
    for field in fields:
        item, marks = getattr(value, field.name), field.metadata
        if marks.get("unwritten") or (item is None and marks.get("optional")):
            continue
        if marks.get("flat"):
            taken = {other.name for other in fields} & item.keys()
            if taken:
                raise IntaglioError(f"{where}.{min(taken)} is no name for a figure: it is taken")
            plain |= _figures(item, wording, where)
            continue
        items = (
            [_told(one, marks) for one in item] if isinstance(item, list) else _told(item, marks)
        )
        plain[field.name] = to_plain(items, wording, f"{where}.{field.name}")
    return plain


def _told(item: Any, marks: Mapping[str, Any]) -> Any:
    """Return a value as its field's marks write it: rounded, or None for the infinity allowed."""
    if "null" in marks and item == marks["null"]:
        return None
    if marks.get("digits") is not None and isinstance(item, float) and math.isfinite(item):
        return round(item, marks["digits"])
    return item


def _figures(figures: Mapping[str, float], wording: Wording, where: str) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, value in figures.items():
        told = wording.of(name)
        if told.unit == DECIBEL and value == math.inf:
            plain[name] = None
            continue
        if told.digits is not None and math.isfinite(value):
            value = round(value, told.digits)
        plain[name] = to_plain(value, wording, f"{where}.{name}")
    return plain


def gathered(plain: Any, kind: type, wording: Wording, where: str) -> Any:
    """Return a part of report.json with its figures gathered in one field, as `kind` holds them.

    Figures are what the wording knows, and any other number under a key that is no field of `kind`
    where the part says on how many images it was measured: such are the figures of a task that is
    not known here. Other keys are left out.

    Args:
        plain: The part; what is no object comes back as it is.
        kind: Dataclass with a field `figures`.
        where: The part's key, for messages.

    Raises:
        RequestError: If a figure that the wording knows is no number, or beyond its limits.
    """
    if not isinstance(plain, dict):
        return plain
    own = {field.name for field in dataclasses.fields(kind)} - {"figures"}
    figures: dict[str, float | None] = {}
    for name, value in plain.items():
        if name in own or not isinstance(name, str):
            continue
        number = _number(value)
        if wording.knows(name):
            told = wording.of(name)
            if value is None and told.unit == DECIBEL:
                figures[name] = None
            elif value is not None:
                figures[name] = _within(told, number, f"{where}.{name}", value)
        elif number is not None and plain.get("n"):
            figures[name] = number
    return {**{key: value for key, value in plain.items() if key in own}, "figures": figures}


def _number(value: object) -> float | None:
    """Return a finite number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _within(told: Figure, number: float | None, where: str, seen: object) -> float:
    least, most = told.limits or (-math.inf, math.inf)
    if number is not None and least <= number <= most:
        return number
    if number is None:
        wanted = "a valid number"
    else:
        wanted = f"less than or equal to {most:g}"
        if number < least:
            wanted = f"greater than or equal to {least:g}"
    raise RequestError(f"{where}: Input should be {wanted}, got {shown(seen)}. {CHANGED}")


def from_plain(adapter: TypeAdapter[T], plain: Any, what: str) -> T:
    """Return the dataclass that `plain` describes; keys that it does not know are ignored.

    Raises:
        RequestError: If a value is missing or wrong; names the first such key of `what`.
    """
    try:
        # as JSON: of Python's values pydantic takes "3" for a number, or no dict for a dataclass
        return adapter.validate_json(json.dumps(plain, allow_nan=False), strict=True)
    except ValidationError as error:
        first = first_complaint(error)
        if first.kind == "json_invalid":  # we wrote that JSON: pydantic alone limits its depth
            raise RequestError(f"{what}: it is nested too deeply") from None
        raise RequestError(
            f"{what}: {first.key or 'the whole'}: {first.message}, got {first.seen}. {CHANGED}"
        ) from None
    except RecursionError:
        raise RequestError(f"{what}: it is nested too deeply") from None
    except (IntaglioError, ValueError) as error:
        raise RequestError(f"{what}: {error}") from None
