"""The loss of YOLOv3: objectness everywhere, class and box where an object's centre lies.

Sources: Redmon, Farhadi 2018, arXiv:1804.02767, section 2.1 (which anchor an object belongs to,
and which positions are left alone); Zheng et al. 2020, arXiv:1911.08287 (the loss of boxes).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.boxes.postprocess import PostProcess
from intaglio.tasks.detect.losses.coding import decoded
from intaglio.tasks.detect.losses.match import BACKGROUND, IGNORED
from intaglio.tasks.detect.losses.multibox import wanted_classes
from intaglio.tasks.detect.losses.nearness import complete_overlaps
from intaglio.tasks.detect.losses.raw import Anchored, Raw
from intaglio.tasks.detect.losses.wanted import Wanted
from intaglio.zoo.regions import overlaps

LEFT_ALONE = 0.7
"""A position whose box overlaps an object by more is not background, as darknet has it."""


def yolo_loss(post: PostProcess, raw: Raw, places: Anchored, wanted: Sequence[Wanted]) -> Tensor:
    """Return the loss, [], the mean over images of

        (sum of cross entropies of objectness + sum over positives of those of classes
         + sum over positives of 1 - CIoU) / positives

    An image without positives is divided by 1.

    Args:
        post: With sigmoids and objectness; coders of a grid's cells.
        raw: Of N images.
        places: Of the positions.
        wanted: The objects of each image.
    """
    assert raw.objectness is not None, "the choice of losses says so"
    boxes = _boxes(post, raw, places)
    with torch.no_grad():
        found = torch.stack(
            [centred(one, own, places) for one, own in zip(boxes, wanted, strict=True)]
        )
        yes = (found >= 0).to(raw.scores.dtype)
        classes = wanted_classes(wanted, found, 0)
    objectness = F.binary_cross_entropy_with_logits(raw.objectness, yes, reduction="none")
    totals = (objectness * (found != IGNORED)).sum(1)
    sums = []
    for number, one in enumerate(wanted):
        (at,) = (found[number] >= 0).nonzero(as_tuple=True)
        own = F.one_hot(classes[number, at], post.classes).to(raw.scores.dtype)
        scores = F.binary_cross_entropy_with_logits(raw.scores[number, at], own, reduction="sum")
        near = complete_overlaps(boxes[number, at], one.boxes[found[number, at]])
        sums.append(scores + (1 - near).sum())
    return ((totals + torch.stack(sums)) / (found >= 0).sum(1).clamp(min=1)).mean()


def centred(boxes: Tensor, wanted: Wanted, places: Anchored) -> Tensor:
    """Return the index of the object of each position, or BACKGROUND, IGNORED, [P] int64.

    An object belongs to the cell that its centre lies in and to the anchor, of all levels, whose
    shape is most like its own; of two objects the first keeps a position. Other positions are left
    alone where their boxes overlap an object, or lie in a crowd.

    Args:
        boxes: [P, 4], what the network says.
        wanted: Of one image.
        places: Of the positions.
    """
    found = torch.full((len(boxes),), BACKGROUND, dtype=torch.int64, device=boxes.device)
    both = torch.cat((wanted.boxes, wanted.crowd))
    if not len(both):
        return found
    found[overlaps(boxes, both).amax(1) > LEFT_ALONE] = IGNORED
    if not len(wanted.boxes):
        return found
    centres = 0.5 * (wanted.boxes[:, :2] + wanted.boxes[:, 2:])
    # the cell of a place reaches half a step to each side, its left end included
    apart = (centres - places.points[:, None]) / places.steps[:, None]  # [P, n, 2]
    inside = ((apart >= -0.5) & (apart < 0.5)).all(2)
    alike = _shape_overlaps(places.boxes, wanted.boxes).where(inside, -1.0)  # [P, n]
    best, where = alike.max(0)
    for number in reversed(range(len(wanted.boxes))):  # the last one written stays
        if best[number] > 0:
            found[where[number]] = number
    return found


def _boxes(post: PostProcess, raw: Raw, places: Anchored) -> Tensor:
    """Return the boxes of all positions, [N, P, 4]; each level by its own coder."""
    parts = []
    for number, level in enumerate(post.levels):
        (at,) = (places.levels == number).nonzero(as_tuple=True)
        own = Anchored(places.boxes[at], places.points[at], places.steps[at], places.levels[at])
        parts.append(decoded(level.coder, raw.boxes[:, at], own))
    return torch.cat(parts, 1)


def _shape_overlaps(anchors: Tensor, boxes: Tensor) -> Tensor:
    """Return intersection over union [P, n] of anchors and boxes laid upon the same centre."""
    own, sides = (each[:, 2:] - each[:, :2] for each in (anchors, boxes))
    inside = torch.minimum(own[:, None], sides).prod(2)
    return inside / (own.prod(1)[:, None] + sides.prod(1) - inside)
