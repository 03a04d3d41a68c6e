"""What a network is for, to the rest of the code: how its outputs are judged, and told.

A task is frozen data with these functions. Rooms that know no task (the search, the job, the
report) ask it; only a task knows what a class, a box or a map is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from intaglio.registry import Registry

Outputs = Sequence[Tensor]
"""The outputs of a network for a batch, in the network's order, [N, ...] each."""


@dataclass(frozen=True)
class Agreement:
    """Two networks on the same images.

    Attributes:
        n: Images.
        same: Those for which both say the same, in the task's sense; None where it has none.
        sqnr_db: Of each output by its name, each by itself; the float network is the signal.
    """

    n: int
    same: int | None
    sqnr_db: Mapping[str, float]


class Meter(Protocol):
    """Counts over batches what a task's figures are made of."""

    def add(self, outputs: Outputs, labels: Any) -> None:
        """Count one batch.

        Raises:
            RequestError: If outputs or labels are not what the task takes.
        """

    def figures(self) -> dict[str, float]:
        """Return the figures by their names in report.json, the one that a wish is about first."""


class Task(Protocol):
    """One task."""

    @property
    def name(self) -> str:
        """As reports call it."""

    def fits(self, outputs: Sequence[tuple[int, ...]], labels: Any) -> bool:
        """Whether outputs of these shapes, the batch first, and such labels belong to the task."""

    def meter(self) -> Meter:
        """Return a new meter."""


TASKS: Registry[Task] = Registry("task", group="intaglio.tasks")
