"""The loss of FCOS: every place near an object's centre finds it, whatever its shape.

Source: Tian et al. 2019, arXiv:1904.01355, section 3; places near the centre alone and GIoU are of
its second version, Tian et al. 2020, arXiv:2006.09214.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.boxes.coders import Distances
from intaglio.boxes.postprocess import PostProcess
from intaglio.tasks.detect.losses.coding import decoded
from intaglio.tasks.detect.losses.focal import focal
from intaglio.tasks.detect.losses.match import BACKGROUND, IGNORED, WITHIN, shares_within
from intaglio.tasks.detect.losses.multibox import wanted_classes
from intaglio.tasks.detect.losses.nearness import generalized_overlaps
from intaglio.tasks.detect.losses.raw import Anchored, Raw
from intaglio.tasks.detect.losses.wanted import Wanted
from intaglio.zoo.regions import areas

RADIUS = 1.5
"""How far from an object's centre places are that find it, in steps."""
SMALLEST, LARGEST = 4.0, 8.0
"""Of a level: the longest distance that it finds lies between these, in steps; the first level
finds all that are shorter, the last one all that are longer."""


def fcos_loss(post: PostProcess, raw: Raw, places: Anchored, wanted: Sequence[Wanted]) -> Tensor:
    """Return the loss, [], the mean over images of

        (sum of focal losses + sum over positives of 1 - GIoU
         + sum over positives of cross entropies of centre-ness) / positives

    An image without positives is divided by 1.

    Args:
        post: With sigmoids and objectness, which is centre-ness; coders that are `Distances`.
        raw: Of N images.
        places: Of the positions.
        wanted: The objects of each image.
    """
    coder = post.levels[0].coder
    assert isinstance(coder, Distances), "the choice of losses says so"
    assert raw.objectness is not None, "the choice of losses says so"
    with torch.no_grad():
        found = torch.stack([near_centres(one, places) for one in wanted])
        classes = wanted_classes(wanted, found, post.classes)
        yes = F.one_hot(classes, post.classes + 1)[..., :-1].to(raw.scores.dtype)
        counted = (found != IGNORED)[..., None]
    totals = (focal(raw.scores, yes) * counted).flatten(1).sum(1)
    boxes = decoded(coder, raw.boxes, places)
    sums = []
    for number, one in enumerate(wanted):
        (at,) = (found[number] >= 0).nonzero(as_tuple=True)
        own = one.boxes[found[number, at]]
        near = (1 - generalized_overlaps(boxes[number, at], own)).sum()
        middle = F.binary_cross_entropy_with_logits(
            raw.objectness[number, at], centreness(places.points[at], own), reduction="sum"
        )
        sums.append(near + middle)
    return ((totals + torch.stack(sums)) / (found >= 0).sum(1).clamp(min=1)).mean()


def near_centres(wanted: Wanted, places: Anchored) -> Tensor:
    """Return the index of the object of each position, or BACKGROUND, IGNORED, [P] int64.

    A position is to find the smallest object that it lies in, near the centre of and of whose size
    its level is. Positions that lie in a crowd are left alone.

    Args:
        wanted: Of one image.
        places: Of the positions.
    """
    count = len(places.points)
    found = torch.full((count,), BACKGROUND, dtype=torch.int64, device=places.points.device)
    if len(wanted.crowd):
        found[shares_within(places.boxes, wanted.crowd).amax(1) >= WITHIN] = IGNORED
    if not len(wanted.boxes):
        return found
    points, steps = places.points[:, None], places.steps[:, None]  # [P, 1, 2]
    ends = torch.cat((points - wanted.boxes[:, :2], wanted.boxes[:, 2:] - points), 2)  # [P, n, 4]
    centres = 0.5 * (wanted.boxes[:, :2] + wanted.boxes[:, 2:])
    near = ((points - centres).abs() < RADIUS * steps).all(2)
    low, high = _sizes(places)
    longest = ends.amax(2)
    fits = (longest > low[:, None]) & (longest <= high[:, None])
    size = areas(wanted.boxes).expand_as(longest)
    size = size.where(near & fits & (ends.amin(2) > 0), math.inf)
    smallest, which = size.min(1)
    return torch.where(smallest < math.inf, which, found)


def centreness(points: Tensor, boxes: Tensor) -> Tensor:
    """Return sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b)), [n], 0..1: equation 3.

    Args:
        points: [n, 2], each in its box.
        boxes: [n, 4].
    """
    before, behind = points - boxes[:, :2], boxes[:, 2:] - points
    share = torch.minimum(before, behind) / torch.maximum(before, behind)
    return share.prod(1).clamp(min=0).sqrt()


def _sizes(places: Anchored) -> tuple[Tensor, Tensor]:
    """Return between which longest distances each position finds objects, [P] each, in pixels."""
    step = places.steps.amax(1)
    low, high = SMALLEST * step, LARGEST * step
    low = low.where(places.levels > 0, -1.0)
    return low, high.where(places.levels < places.levels.max(), math.inf)
