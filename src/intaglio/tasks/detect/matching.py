"""How two networks agree on one picture, without labels: the boxes that both find."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from intaglio.boxes.detections import Detections
from intaglio.boxes.nms import overlaps

SCORE = 0.25
"""From which on a box is one that a network finds."""
HALF = 0.5
"""Of that score a box must have in the one network, where the other one finds it: else a box that
is just above the score here and just below it there would count as lost."""


@dataclass(frozen=True, eq=False)
class Match:
    """The boxes of two networks in one picture.

    Attributes:
        both: [m, 2] int64, index in the float network's boxes and in the other's.
        only_real: [k] int64, boxes that the float network alone finds.
        only_found: [l] int64, boxes that the other alone finds.
    """

    both: NDArray[np.int64]
    only_real: NDArray[np.int64]
    only_found: NDArray[np.int64]

    @property
    def union(self) -> int:
        """Boxes that either finds, one of both counted once."""
        return len(self.both) + len(self.only_real) + len(self.only_found)

    @property
    def share(self) -> float:
        """Share of the boxes of either that both find, 0..1; 1 where neither finds any."""
        return len(self.both) / self.union if self.union else 1.0


def matched(
    real: Detections, found: Detections, *, overlap: float = 0.5, score: float = SCORE
) -> Match:
    """Return which boxes are the same: of the same class, one to one, the largest overlap first.

    A box is found from `score` on. First boxes that both networks find are matched; then what is
    left of them, with boxes of the other network that have half of the score at least. A box below
    the score that matches nothing is nobody's.

    Args:
        real, found: Of the float network and of the other, in one frame and with one set of
            classes.
        overlap: Intersection over union from which on two boxes are the same, > 0.
        score: 0..1.
    """
    shared = overlaps(real.boxes, found.boxes)
    shared[real.classes[:, None] != found.classes] = 0.0
    sure = real.scores >= score, found.scores >= score
    likely = real.scores >= HALF * score, found.scores >= HALF * score
    pairs = _greedy(shared, sure[0][:, None] & sure[1], overlap)
    left = [~np.isin(np.arange(len(sure[side])), pairs[:, side]) for side in (0, 1)]
    either = (sure[0][:, None] & likely[1]) | (likely[0][:, None] & sure[1])
    either &= left[0][:, None] & left[1]
    pairs = np.concatenate([pairs, _greedy(shared, either, overlap)])
    only = [np.setdiff1d(np.flatnonzero(sure[side]), pairs[:, side]) for side in (0, 1)]
    return Match(pairs, *only)


def _greedy(
    shared: NDArray[np.float32], allowed: NDArray[np.bool_], overlap: float
) -> NDArray[np.int64]:
    """Return pairs [m, 2] int64 in the order of their overlaps, no box in two of them."""
    rows, columns = np.nonzero(allowed & (shared >= overlap))
    pairs: list[tuple[int, int]] = []
    taken: tuple[set[int], set[int]] = set(), set()
    for index in np.argsort(-shared[rows, columns], kind="stable"):
        row, column = int(rows[index]), int(columns[index])
        if row not in taken[0] and column not in taken[1]:
            pairs.append((row, column))
            taken[0].add(row)
            taken[1].add(column)
    return np.array(pairs, np.int64).reshape(-1, 2)
