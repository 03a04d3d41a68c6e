"""Whether two networks name the same class, and whether what they give are classes at all."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from intaglio.tasks.accuracy import best_class, threshold_of
from intaglio.tasks.deviation import Deviation
from intaglio.tasks.task import Agreement, Outputs

SURE_FROM, SURE_SHARE = 10, 0.25
"""Scores that nothing calls classes (no labels, no softmax, no word of the user) are certainly some
where there are that many and the images' answers are that varied, as a share of what is possible.
Four numbers may as well be a box."""
TO_ONE = 1e-3
"""How far a softmax in float16, or on a grid of 1/256 a score, may be from a sum of 1."""


@dataclass
class SameClass:
    """Counts the images for which two networks give the same answer, and the noise of the scores.

    Attributes:
        name: Of the output.
        is_told: Whether these are known to be classes, of which one is the answer.
    """

    name: str
    is_told: bool = False
    _reals: _Answers = field(default_factory=lambda: _Answers())
    _founds: _Answers = field(default_factory=lambda: _Answers())
    _noise: Deviation = field(default_factory=Deviation)

    def add(self, float_outputs: Outputs, outputs: Outputs) -> None:
        """Compare one batch."""
        (real,), (found,) = float_outputs, outputs
        self._noise.add(real, found)
        self._reals.add(real)
        self._founds.add(found)

    def agreement(self) -> Agreement:
        """Return the agreement over all batches.

        Of probabilities that each stand for themselves (several labels at once) all have to be on
        the same side of 0.5. Where nobody said that these are classes, there is no `same` where the
        float network has one answer for all images.
        """
        if not self._reals.best:
            return Agreement(0, None, {})
        reading = self._reals.reading(are_classes=self.is_told)
        real, found = self._reals.answers(reading), self._founds.answers(reading)
        named = len({tuple(row) for row in real.tolist()})
        is_sure = self._reals.are_sure(named)
        db = self._noise.sqnr_db if is_sure else self._noise.lowest_db
        noise = {} if db is None else {self.name: db}
        is_grouped = not is_sure and len(self._noise.groups()) > 1
        grouped = (self.name,) if is_grouped and noise else ()
        if named < 2 and not self.is_told:
            return Agreement(len(real), None, noise, grouped=grouped)
        same = (real == found).all(1)
        return Agreement(len(real), int(same.sum()), noise, same, is_sure, named > 1, grouped)


@dataclass
class _Answers:
    """What one network answers, in each way that its scores may be read."""

    best: list[Tensor] = field(default_factory=list)
    single: list[Tensor] = field(default_factory=list)
    above_half: list[Tensor] = field(default_factory=list)
    classes: int = 0
    within: bool = True
    sum_to_one: bool = True

    def add(self, scores: Tensor) -> None:
        """Take in scores [n, K]."""
        self.classes = scores.shape[1]
        self.best.append(best_class(scores))
        self.single.append(scores[:, 0].clone())
        self.above_half.append(scores > 0.5)
        low, high = scores.aminmax()
        self.within &= float(low) >= 0.0 and float(high) <= 1.0
        self.sum_to_one &= bool(((scores.sum(1) - 1.0).abs() <= TO_ONE).all())

    def reading(self, *, are_classes: bool = False) -> float | str:
        """Return how the scores are to be read: a threshold, "best", or "labels"."""
        if self.classes == 1:
            return threshold_of(torch.cat(self.single))
        each = self.within and not self.sum_to_one and not are_classes
        return "labels" if each else "best"

    def answers(self, reading: float | str) -> Tensor:
        """Return the answers [N, A]."""
        if reading == "labels":
            return torch.cat(self.above_half)
        if isinstance(reading, str):
            return torch.cat(self.best)[:, None]
        return (torch.cat(self.single) > reading)[:, None]

    def are_sure(self, named: int) -> bool:
        """Whether these can be nothing but scores of classes, of which `named` were named."""
        if self.classes == 1 or self.reading() == "labels":
            return False
        varied = named >= max(2, SURE_SHARE * min(self.classes, sum(map(len, self.best))))
        return (self.within and self.sum_to_one) or (self.classes >= SURE_FROM and varied)
