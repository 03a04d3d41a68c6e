"""One layer of a network in float16, as data of the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class HalfRow:
    """What float16 does to the numbers of one layer, but for its bias, which stays float32.

    Attributes:
        name, op, source: As of LayerRow.
        stored: How they are stored.
        numbers: How many there are.
        overflow: How many are beyond 65504 in magnitude, which float16 does not hold.
        subnormal: How many are below 2**-14 (6.1e-5) in magnitude, and keep fewer than 11 bits.
        zeros: How many become 0, and are not.
        largest: The largest magnitude.
    """

    name: str
    op: str
    source: str
    stored: Literal["float16", "float32"]
    numbers: Count
    overflow: Count
    subnormal: Count
    zeros: Count
    largest: Annotated[float, Field(ge=0.0)]
