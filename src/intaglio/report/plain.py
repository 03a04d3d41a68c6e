"""Between a report's dataclasses and plain JSON values."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from intaglio.errors import IntaglioError, RequestError
from intaglio.host.complaint import first_complaint

T = TypeVar("T")


def to_plain(value: Any, where: str = "report") -> Any:
    """Return `value` as dicts, lists, strings, finite numbers, booleans and None.

    Follows the fields' marks (see `intaglio.report.parts`): optional fields that are None are left
    out, digits are rounded, and the infinity that a field allows becomes None.

    Raises:
        IntaglioError: At NaN, infinity where it has no meaning, or a type that JSON has not.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _fields(value, where)
    if isinstance(value, dict):
        return {str(key): to_plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise IntaglioError(f"{where} is {value}, which JSON cannot hold: it was not measured well")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise IntaglioError(f"{where} is a {type(value).__name__}, which JSON cannot hold")


def _fields(value: Any, where: str) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        item, marks = getattr(value, field.name), field.metadata
        if item is None and marks.get("optional"):
            continue
        if "null" in marks and item == marks["null"]:
            plain[field.name] = None
            continue
        if marks.get("digits") is not None and isinstance(item, float) and math.isfinite(item):
            item = round(item, marks["digits"])
        plain[field.name] = to_plain(item, f"{where}.{field.name}")
    return plain


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
            f"{what}: {first.key or 'the whole'}: {first.message}, got {first.seen}. Was it written"
            " by another version, or changed by hand?"
        ) from None
    except RecursionError:
        raise RequestError(f"{what}: it is nested too deeply") from None
    except (IntaglioError, ValueError) as error:
        raise RequestError(f"{what}: {error}") from None
