"""The share of images that a classifier names rightly."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from intaglio.tasks.task import Labels, Outputs


def best_class(scores: Tensor) -> Tensor:
    """Return the class [N] of scores [N, K], K >= 2; of equal ones the lower index wins."""
    return scores.argsort(dim=1, descending=True, stable=True)[:, 0]


def threshold_of(scores: Tensor) -> float:
    """Return above which of all single scores [N] of a network says yes: 0.5 of probabilities."""
    low, high = scores.aminmax()
    return 0.5 if float(low) >= 0.0 and float(high) <= 1.0 else 0.0


@dataclass
class Accuracy:
    """Counts right answers.

    Attributes:
        n: Images seen.
        right1, right5: Images whose label is the best, or among the five best.
    """

    n: int = 0
    right5: int = 0
    _hits: list[Tensor] = field(default_factory=list)
    _scores: list[Tensor] = field(default_factory=list)
    _labels: list[Tensor] = field(default_factory=list)

    def add(self, outputs: Outputs, labels: Labels) -> None:
        """Count one batch, labels [N]; of equal scores the lower class index wins."""
        labels = labels.reshape(-1)
        self.n += len(labels)
        self._labels.append(labels)
        if outputs[0].shape[1] == 1:
            self._scores.append(outputs[0][:, 0].clone())
            return
        order = outputs[0].argsort(dim=1, descending=True, stable=True)
        hits = order[:, :5] == labels[:, None]
        self._hits.append(hits[:, 0])
        self.right5 += int(hits.any(dim=1).sum())

    @property
    def right1(self) -> int:
        """Images whose label is the answer."""
        return int(self._right().sum()) if self.n else 0

    def figures(self) -> dict[str, float]:
        """Return percents of images whose label has the highest score, or is among the best 5.

        Of one score only the first: there are no five.
        """
        found = {"top1": 100.0 * self.right1 / self.n}
        return found if self._scores else {**found, "top5": 100.0 * self.right5 / self.n}

    def lost(self, real: Accuracy) -> float:
        """Return points of top-1 lost."""
        return 100.0 * (real.right1 - self.right1) / self.n

    def by_image(self) -> Tensor:
        """Return what each image adds to top-1, [N] float64: 100 where it is right, else 0."""
        return 100.0 * self._right().double()

    def chance(self) -> float:
        """Return the top-1 of a network that names the same class for every image, the best such.

        One standard error is added: what is not above it shows nothing.
        """
        counts = torch.cat(self._labels).bincount()
        share = float(counts.max()) / self.n
        return 100.0 * (share + math.sqrt(share * (1.0 - share) / self.n))

    def _right(self) -> Tensor:
        if not self._scores:
            return torch.cat(self._hits)
        scores = torch.cat(self._scores)
        return (scores > threshold_of(scores)) == (torch.cat(self._labels) == 1)
