"""Which pairs of a position and a class are candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from intaglio.boxes.postprocess import Grid, PostProcess

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Of one picture, in the order of levels, positions, classes.

    Attributes:
        levels, positions, classes: [n]; positions count from 0 in each level.
        scores: [n].
    """

    levels: Indices
    positions: Indices
    classes: Indices
    scores: Floats

    def __len__(self) -> int:
        return len(self.scores)

    def at(self, chosen: Indices | NDArray[np.bool_]) -> Candidates:
        """Return these of them."""
        return Candidates(
            self.levels[chosen],
            self.positions[chosen],
            self.classes[chosen],
            self.scores[chosen],
        )


def candidates(post: PostProcess, scores: Sequence[Floats]) -> Candidates:
    """Return what the selection of a post-processing lets through.

    Args:
        post: Its levels, background and selection.
        scores: Of each level, [positions, classes].
    """
    select, found = post.select, []
    for number, (level, own) in enumerate(zip(post.levels, scores, strict=True)):
        allowed = _allowed(post, own)
        if select.peaks and isinstance(level.places, Grid):
            allowed &= peaks(own.reshape(level.places.rows, level.places.columns, -1))
        positions, classes = np.nonzero(allowed)
        levels = np.full(len(positions), number, np.int64)
        chosen = Candidates(levels, positions, classes, own[positions, classes])
        if select.within == "level":
            chosen = chosen.at(highest(chosen.scores, select.most))
        found.append(chosen)
    together = _together(found)
    if select.within == "all":
        return together.at(highest(together.scores, select.most))
    if select.within == "class":
        return together.at(_highest_of_each(together, select.most))
    return together


def highest(scores: Floats, most: int | None) -> Indices:
    """Return the indices of the highest `most` of scores [n], rising; ties by index."""
    if most is None or len(scores) <= most:
        return np.arange(len(scores), dtype=np.int64)
    last = np.partition(scores, -most)[-most]  # the lowest that is among them
    above = np.flatnonzero(scores > last)
    level = np.flatnonzero(scores == last)[: most - len(above)]
    return np.sort(np.concatenate([above, level]))


def peaks(maps: Floats) -> NDArray[np.bool_]:
    """Return whether no neighbour in the 3 x 3 is higher, as [rows * columns, classes].

    Source: Zhou et al. 2019, arXiv:1904.07850, section 4 (a 3 x 3 max-pooling).

    Args:
        maps: [rows, columns, classes].
    """
    rows, columns, classes = maps.shape
    padded = np.pad(maps, ((1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    largest = maps
    for y in range(3):
        for x in range(3):
            largest = np.maximum(largest, padded[y : y + rows, x : x + columns])
    return np.asarray(maps == largest).reshape(rows * columns, classes)


def _allowed(post: PostProcess, scores: Floats) -> NDArray[np.bool_]:
    """Return which of [positions, classes] pass the threshold, and are no background."""
    above = post.select.above
    allowed = ~np.isnan(scores) if above is None else scores > np.float32(above)
    if post.background is not None:
        allowed[:, post.background] = False
    if post.select.classes == "best":
        own = np.where(np.isnan(scores), -np.inf, scores)
        if post.background is not None:
            own[:, post.background] = -np.inf
        best = np.zeros_like(allowed)
        best[np.arange(len(own)), own.argmax(axis=1)] = True
        allowed &= best
    return allowed


def _together(found: Sequence[Candidates]) -> Candidates:
    return Candidates(
        np.concatenate([own.levels for own in found]),
        np.concatenate([own.positions for own in found]),
        np.concatenate([own.classes for own in found]),
        np.concatenate([own.scores for own in found]),
    )


def _highest_of_each(found: Candidates, most: int | None) -> Indices:
    """Return the indices of the highest `most` of each class, rising."""
    kept = [np.empty(0, np.int64)]
    for own in np.unique(found.classes):
        members = np.flatnonzero(found.classes == own)
        kept.append(members[highest(found.scores[members], most)])
    return np.sort(np.concatenate(kept))
