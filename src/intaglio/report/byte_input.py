"""How the bytes of an input are made, as data of the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True)
class ByteInput:
    """How a file's uint8 input is made: round(x / scale) + zero_point; x is the float network's.

    Attributes:
        scale, zero_point: The input's.
        off: How far a pixel's own byte is from that at most; 0: the file takes raw bytes. None
            where nothing is known of how images are prepared.
    """

    scale: Annotated[float, Field(gt=0.0)]
    zero_point: Annotated[int, Field(ge=0, le=255)]
    off: Annotated[int, Field(ge=0, le=255)] | None = field(
        default=None, metadata={"optional": True}
    )
