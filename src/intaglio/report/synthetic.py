"""Images that a run made because there were none, as data of the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field, JsonValue

Count = Annotated[int, Field(ge=0)]
NotBelowZero = Annotated[float, Field(ge=0.0)]


@dataclass(frozen=True)
class Synthetic:
    """Images that were made of what batch norms state.

    Attributes:
        images: How many.
        steps: Of the optimizer, for each batch of them.
        seconds: That it took.
        norms_first, norms_last: Loss of the batch norms before and after, mean over batches; None
            where it was no number.
        events: How many things were noticed meanwhile; the warnings say which.
        settings: How they were made beside that, by the names of a recipe's `[synthetic]`.
    """

    images: Annotated[int, Field(ge=1)]
    steps: Count
    seconds: NotBelowZero = field(metadata={"digits": 3})
    norms_first: NotBelowZero | None = field(default=None, metadata={"optional": True, "digits": 6})
    norms_last: NotBelowZero | None = field(default=None, metadata={"optional": True, "digits": 6})
    events: Count = 0
    settings: dict[str, JsonValue] = field(default_factory=dict)
