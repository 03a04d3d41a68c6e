"""Kinds of fields of a report's data: what they may hold, and how report.json writes them."""

from __future__ import annotations

import math
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, FailFast, Field

Percent = Annotated[float, Field(ge=0.0, le=100.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]
NotBelowZero = Annotated[float, Field(ge=0.0)]
Item = TypeVar("Item")


class _FirstError(FailFast):
    """As pydantic's, with a hash, without which `Many[...] | None` is no type."""

    __hash__ = object.__hash__


Many = Annotated[list[Item], _FirstError()]
"""A list that is read up to its first wrong item: a file may hold millions of them."""
Decibels = Annotated[
    float | None, BeforeValidator(lambda value: math.inf if value is None else value)
]
"""10 log10(signal / noise), infinite where there is no noise. A null that is read from report.json
is that infinity; None is what the field holds where report.json has no such key."""

Figures = dict[str, Annotated[float, BeforeValidator(lambda v: math.inf if v is None else v)]]
"""A task's figures by name, the one that a wish is about first; null is infinity here too."""

# how `intaglio.report.plain` writes a field
ABSENT = {"optional": True}
FLAT = {"flat": True}
"""Its entries stand beside the fields, each under its own key."""
UNWRITTEN = {"unwritten": True}
PERCENT = {"optional": True, "digits": 2}
SHARE = {"optional": True, "digits": 6}
MEGABYTES = {"optional": True, "digits": 1}
SECONDS = {"digits": 3}
DECIBELS = {"optional": True, "digits": 2, "null": math.inf}
"""Of one value, or of each in a list."""
