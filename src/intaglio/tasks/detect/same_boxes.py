"""Whether two detectors find the same boxes in the same pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

from intaglio.boxes.detections import Detections
from intaglio.tasks.detect.matching import SCORE, Match, matched
from intaglio.tasks.task import Agreement, Outputs
from intaglio.tasks.values import Deviations


@dataclass
class SameBoxes:
    """Compares two networks by the boxes that both find, and by the noise of their outputs.

    A picture counts by the share of its boxes that both find (`Match.share`), and `same` is the sum
    of these: that every box of a picture is found would be too much to ask of one with twenty, and
    would say the same of one lost box as of twenty.

    Attributes:
        names: Of the outputs.
        read: From the outputs of a batch to what is found in each of its pictures.
        score: From which on a box is one that a network finds, 0..1.
        overlap: Intersection over union from which on two boxes are the same.
    """

    names: Sequence[str]
    read: Callable[[Outputs], list[Detections]]
    score: float = SCORE
    overlap: float = 0.5
    _noise: Deviations = field(init=False)
    _shares: list[float] = field(default_factory=list)
    _both: int = 0
    _either: int = 0
    _finds: bool = False

    def __post_init__(self) -> None:
        self._noise = Deviations(self.names)

    def add(self, float_outputs: Outputs, outputs: Outputs) -> None:
        """Compare one batch."""
        self._noise.add(float_outputs, outputs)
        self.compare(self.read(float_outputs), self.read(outputs))

    def compare(self, reals: Sequence[Detections], founds: Sequence[Detections]) -> None:
        """Compare what the float network and the other one find, picture by picture."""
        for real, found in zip(reals, founds, strict=True):
            self._finds |= bool((real.scores >= self.score).any())
            self._count(matched(real, found, overlap=self.overlap, score=self.score))

    def _count(self, match: Match) -> None:
        self._shares.append(match.share)
        self._both += len(match.both)
        self._either += match.union

    def agreement(self) -> Agreement:
        """Return the agreement over all batches.

        It says nothing (`is_varied`) where the float network finds no box in any picture.
        """
        shares = torch.tensor(self._shares, dtype=torch.float64)
        return replace(
            self._noise.agreement(),
            n=len(shares),
            same=float(shares.sum()),
            by_image=shares,
            is_varied=self._finds,
            parts=100.0 * self._both / self._either if self._either else None,
        )
