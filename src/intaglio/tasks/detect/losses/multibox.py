"""The loss of SSD: one softmax over classes and background, and deltas where there is an object.

Source: Liu et al. 2016, arXiv:1512.02325, section 2.2, equations 1 to 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.boxes.coders import Deltas
from intaglio.boxes.postprocess import PostProcess
from intaglio.tasks.detect.losses.coding import encoded
from intaglio.tasks.detect.losses.match import BACKGROUND, Rule, all_matched
from intaglio.tasks.detect.losses.raw import Anchored, Raw
from intaglio.tasks.detect.losses.wanted import Wanted

RULE = Rule(0.5, 0.5)
NEGATIVES = 3
"""Positions of background that count, for each that is to find an object: the worst ones."""


def multibox_loss(
    post: PostProcess, raw: Raw, places: Anchored, wanted: Sequence[Wanted]
) -> Tensor:
    """Return the loss, [], the mean over images of

        (sum of cross entropies + sum of smooth L1 of deltas) / positives

    where three times as many negatives count as there are positives, those of the highest loss. An
    image without positives has as many as one with one.

    Args:
        post: With a softmax and a background, and coders that are `Deltas` of four numbers.
        raw: Of N images.
        places: Of the positions.
        wanted: The objects of each image.
    """
    with torch.no_grad():
        found = all_matched(places.boxes, wanted, RULE)  # [N, P]
    positive = found >= 0
    positives = positive.sum(1).clamp(min=1)  # [N]
    each = _cross_entropies(post, raw.scores, wanted, found)
    with torch.no_grad():
        counted = positive | worst(each, found == BACKGROUND, NEGATIVES * positives)
    scores = (each * counted).sum(1)
    boxes = delta_losses(post, raw, places, wanted, found, beta=1.0)
    return ((scores + boxes) / positives).mean()


def _cross_entropies(
    post: PostProcess, scores: Tensor, wanted: Sequence[Wanted], found: Tensor
) -> Tensor:
    """Return the loss of each position, [N, P]."""
    assert post.background is not None, "the choice of losses says so"
    classes = wanted_classes(wanted, found, post.background)
    each = F.cross_entropy(scores.flatten(0, 1), classes.flatten(), reduction="none")
    return each.view_as(classes)


def wanted_classes(wanted: Sequence[Wanted], found: Tensor, nothing: int) -> Tensor:
    """Return the class that each position is to find, [N, P] int64; `nothing` where none."""
    classes = torch.full_like(found, nothing)
    for number, one in enumerate(wanted):
        (at,) = (found[number] >= 0).nonzero(as_tuple=True)
        classes[number, at] = one.classes[found[number, at]]
    return classes


def worst(each: Tensor, allowed: Tensor, counts: Tensor) -> Tensor:
    """Return which of the allowed positions have the highest losses, [N, P] bool.

    Args:
        each: [N, P], of each position.
        allowed: [N, P] bool.
        counts: [N], how many in each image, at most.
    """
    chosen = torch.zeros_like(allowed)
    for number, count in enumerate(counts.tolist()):
        (at,) = allowed[number].nonzero(as_tuple=True)
        best = each[number, at].topk(min(count, len(at))).indices
        chosen[number, at[best]] = True
    return chosen


def delta_losses(
    post: PostProcess,
    raw: Raw,
    places: Anchored,
    wanted: Sequence[Wanted],
    found: Tensor,
    *,
    beta: float,
) -> Tensor:
    """Return the smooth L1 of each image's deltas, summed over its positives, [N].

    Args:
        found: [N, P] int64, the object of each position; below 0 none.
        beta: Where the square ends and the line begins.
    """
    coder = post.levels[0].coder
    assert isinstance(coder, Deltas), "the choice of losses says so"
    sums = []
    for number, one in enumerate(wanted):
        (at,) = (found[number] >= 0).nonzero(as_tuple=True)
        with torch.no_grad():
            target = encoded(coder, one.boxes[found[number, at]], places.boxes[at])
        sums.append(F.smooth_l1_loss(raw.boxes[number, at], target, reduction="sum", beta=beta))
    return torch.stack(sums)
