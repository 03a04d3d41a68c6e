"""What training a segmenter makes small: cross entropy of the classes of pixels, all or the hard.

Pixels that are IGNORED are left out, of sums and of their counts.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from intaglio.data.mask import IGNORED
from intaglio.errors import RequestError
from intaglio.maps.postprocess import MapPostProcess

HARD_BELOW = 0.7
"""Probability of the true class below which a pixel is hard."""
LEAST = 1e-7
"""Of a probability, of which the logarithm is taken: float32 resolves no less beside 1."""


def map_loss(
    post: MapPostProcess,
    scores: Tensor,
    labels: Tensor,
    *,
    smoothing: float = 0.0,
    hard_share: float = 0.0,
) -> Tensor:
    """Return the cross entropy of the true classes, a mean over the pixels that count, [], in nats.

    Of scores of fewer places than labels, these are brought to the labels' by bilinear
    interpolation first. 0, with a gradient of 0, where no pixel counts.

    Args:
        post: What the scores mean.
        scores: [N, C, h, w].
        labels: [N, H, W], whole numbers: the network's classes, or IGNORED.
        smoothing: Share of a label that is spread over all classes, 0..1 (Szegedy et al. 2016,
            arXiv:1512.00567, section 7).
        hard_share: Of the pixels that count, what is taken at least, the hardest; 0: all are taken
            (`hard_pixels`).

    Raises:
        RequestError: If the output is of classes, which have no gradient, or a share is not within
            0..1.
    """
    for name, share in (("smoothing", smoothing), ("hard_share", hard_share)):
        if not 0.0 <= share <= 1.0:
            raise RequestError(f"{name} = {share:g}: a share is within 0..1")
    logs = log_probabilities(post, scores, (labels.shape[-2], labels.shape[-1]))
    counted = labels != IGNORED
    if not bool(counted.any()):
        return scores.flatten()[:0].float().sum()
    wanted = torch.where(counted, labels, 0).to(torch.int64)
    surprise = -logs.gather(1, wanted[:, None])[:, 0][counted]  # [M]
    losses = surprise
    if smoothing:
        losses = (1.0 - smoothing) * surprise - smoothing * logs.mean(1)[counted]
    return (losses[hard_pixels(surprise, hard_share)] if hard_share else losses).mean()


def hard_pixels(surprise: Tensor, least: float, *, below: float = HARD_BELOW) -> Tensor:
    """Return the indices [K] of the pixels that are learned from, the hardest first.

    Those whose true class has a probability below `below`; if they are fewer than the share
    `least` of all, the hardest of the others too. Source: the online bootstrapping of Wu, Shen, van
    den Hengel 2016 (arXiv:1605.06885, section 3.3); hard examples of Shrivastava, Gupta, Girshick
    2016 (arXiv:1604.03540). We differ: the least is a share, over the pixels of the batch.

    Args:
        surprise: [M], -log of the probability of the true class of each.
        least: 0..1.
        below: 0..1.
    """
    surprise = surprise.detach()
    hard = int((surprise > -math.log(below)).sum())
    kept = min(max(hard, math.ceil(least * len(surprise)), 1), len(surprise))
    return surprise.topk(kept).indices


def log_probabilities(post: MapPostProcess, scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the logarithm of each class's probability, [N, classes, H, W] float32.

    Args:
        post: What the scores mean.
        scores: [N, C, h, w]; of other places than `size`, they are interpolated.
        size: (H, W).

    Raises:
        RequestError: If the output is of classes.
    """
    if post.rule == "index":
        raise RequestError(
            "the network gives classes, of which there is no gradient: train it on the scores that"
            " they are chosen from"
        )
    scores = scores.float()
    if scores.shape[-2:] != size:
        scores = F.interpolate(scores, size, mode="bilinear", align_corners=False)
    if post.rule == "threshold":
        yes = scores[:, 0]
        if post.scores == "logits":
            return torch.stack([F.logsigmoid(-yes), F.logsigmoid(yes)], dim=1)
        scores = torch.stack([1.0 - yes, yes], dim=1)
    elif post.scores == "logits":
        return scores.log_softmax(1)
    return scores.clamp(min=LEAST).log()
