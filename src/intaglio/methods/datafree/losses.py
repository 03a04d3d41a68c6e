"""What generator and student make small, as the game asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from intaglio.methods.datafree.tapped import Seen


@dataclass(frozen=True, eq=False)
class View:
    """What a loss may look at: one batch, seen by both networks.

    Attributes:
        images: [N, C, H, W].
        labels: What they were asked to be, shares of classes [N, K]; None without classes.
        teacher: What the float network makes of them.
        student: What the quantized one does; None where the generator's loss does not look at it,
            and while it warms up.
    """

    images: Tensor
    labels: Tensor | None
    teacher: Seen
    student: Seen | None


class Losses(Protocol):
    """The two sides of a game."""

    @property
    def wants_norms(self) -> bool:
        """Whether the generator's loss looks at what batch norms state."""

    @property
    def faces_student(self) -> bool:
        """Whether the generator's loss looks at the student."""

    def of_student(self, view: View) -> Tensor:
        """Return what the student makes small, []; `view.student` is there."""

    def of_generator(self, view: View) -> Tensor:
        """Return what the generator makes small, []."""

    def tensors(self) -> dict[str, Tensor]:
        """Return what the losses remember."""

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` returned."""
