"""The loss of RetinaNet: every position counts, those that are right already hardly.

Source: Lin et al. 2017, arXiv:1708.02002, sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.boxes.postprocess import PostProcess
from intaglio.tasks.detect.losses.match import IGNORED, Rule, all_matched
from intaglio.tasks.detect.losses.multibox import delta_losses, wanted_classes
from intaglio.tasks.detect.losses.raw import Anchored, Raw
from intaglio.tasks.detect.losses.wanted import Wanted

RULE = Rule(0.5, 0.4)
ALPHA, GAMMA = 0.25, 2.0
BETA = 1 / 9


def focal(logits: Tensor, yes: Tensor, *, alpha: float = ALPHA, gamma: float = GAMMA) -> Tensor:
    """Return -a_t (1 - p_t)^gamma log(p_t) of each number, of the shape of `logits`.

    p_t is the probability of what is right, a_t is alpha where that is yes, else 1 - alpha.

    Args:
        logits: Any shape.
        yes: Of that shape, 0 or 1.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, yes, reduction="none")
    wrong = torch.where(yes > 0, -logits, logits).sigmoid()  # 1 - p_t
    weight = torch.where(yes > 0, alpha, 1.0 - alpha)
    return weight * wrong.pow(gamma) * entropy


def focal_loss(post: PostProcess, raw: Raw, places: Anchored, wanted: Sequence[Wanted]) -> Tensor:
    """Return the loss, [], the mean over images of

        (sum of focal losses + sum of smooth L1 of deltas) / positives

    over all positions but those whose overlap lies between that of background and of objects. An
    image without positives is divided by 1. A channel for the background teaches nothing: under
    sigmoids nobody reads it, and networks differ in whether it means anything.

    Args:
        post: With sigmoids, and coders that are `Deltas` of four numbers.
        raw: Of N images.
        places: Of the positions.
        wanted: The objects of each image.
    """
    with torch.no_grad():
        found = all_matched(places.boxes, wanted, RULE)  # [N, P]
        classes = wanted_classes(wanted, found, post.classes)
        yes = F.one_hot(classes, post.classes + 1)[..., :-1].to(raw.scores.dtype)
        counted = (found != IGNORED)[..., None] & _foreground(post, yes.device)
    scores = (focal(raw.scores, yes) * counted).flatten(1).sum(1)
    boxes = delta_losses(post, raw, places, wanted, found, beta=BETA)
    return ((scores + boxes) / (found >= 0).sum(1).clamp(min=1)).mean()


def _foreground(post: PostProcess, device: torch.device) -> Tensor:
    """Return which numbers of a position are of a real class, [classes] bool."""
    return torch.arange(post.classes, device=device) != (
        -1 if post.background is None else post.background
    )
