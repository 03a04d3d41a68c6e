"""What a run of training noticed and did about it, for the user."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    Attributes:
        step: Steps that were done before it.
        what: A sentence without a full stop.
    """

    step: int
    what: str
