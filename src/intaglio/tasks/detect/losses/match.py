"""Which position is to find which object, by how much its anchor overlaps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from intaglio.tasks.detect.losses.wanted import Wanted
from intaglio.zoo.regions import areas, overlaps

BACKGROUND, IGNORED = -1, -2
"""In place of an object's index: a position that is to find nothing, and one that is left alone."""
WITHIN = 0.5
"""A position of which this share lies in a crowd is not background."""


@dataclass(frozen=True)
class Rule:
    """When a position is to find an object.

    Attributes:
        positive: From this overlap on it is.
        negative: Below this one it is background; between both it is left alone.
        keeps_best: Whether each object has the position that overlaps it most, however little.
    """

    positive: float
    negative: float
    keeps_best: bool = True


def matched(anchors: Tensor, wanted: Wanted, rule: Rule) -> Tensor:
    """Return the index of the object that each position is to find; or BACKGROUND, IGNORED.

    Of several objects it is the one that it overlaps most, ties by index. Where a position is the
    best of two objects, it finds the one that it overlaps more.

    Args:
        anchors: [P, 4].
        wanted: Of one image.
        rule: By which overlaps.

    Returns:
        [P] int64.
    """
    found = torch.full((len(anchors),), BACKGROUND, dtype=torch.int64, device=anchors.device)
    if len(wanted.crowd):
        found[shares_within(anchors, wanted.crowd).amax(1) >= WITHIN] = IGNORED
    if not len(wanted.boxes):
        return found
    pairs = overlaps(anchors, wanted.boxes)  # [P, n]
    most, which = pairs.max(1)
    found[most >= rule.negative] = IGNORED
    found = torch.where(most >= rule.positive, which, found)
    if rule.keeps_best:
        best, where = pairs.max(0)
        for number in best.argsort(stable=True).tolist():  # the last one written stays
            if best[number] > 0:
                found[where[number]] = number
    return found


def all_matched(anchors: Tensor, wanted: Sequence[Wanted], rule: Rule) -> Tensor:
    """Return `matched` for each image, [N, P]."""
    return torch.stack([matched(anchors, one, rule) for one in wanted])


def shares_within(anchors: Tensor, crowd: Tensor) -> Tensor:
    """Return which share of each anchor [P, 4] lies in each crowd [c, 4]: [P, c]."""
    low = torch.maximum(anchors[:, None, :2], crowd[:, :2])
    high = torch.minimum(anchors[:, None, 2:], crowd[:, 2:])
    inside = (high - low).clamp(min=0).prod(2)
    return inside / areas(anchors)[:, None].clamp(min=1e-9)
