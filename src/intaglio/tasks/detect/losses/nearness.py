"""How near boxes are to others, pair by pair, with gradients where they do not even touch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from intaglio.zoo.regions import areas

EPSILON = 1e-7


def complete_overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Return CIoU [...] of boxes [..., 4] and [..., 4], from -1.5 to 1.

    CIoU = IoU - d^2 / c^2 - a v, with d between the centres, c the diagonal of what encloses both,
    v = 4 / pi^2 (atan(w / h) - atan(w' / h'))^2 and a = v / (1 - IoU + v), which has no gradient.
    Source: Zheng et al. 2020, arXiv:1911.08287, equations 7 to 11.
    """
    overlap, _, enclosing = _measures(boxes, others)
    apart = 0.5 * (boxes[..., :2] + boxes[..., 2:] - others[..., :2] - others[..., 2:])
    distance = apart.square().sum(-1) / (enclosing.square().sum(-1) + EPSILON)
    angle, other = (_angle(each) for each in (boxes, others))
    unlike = 4 / math.pi**2 * (angle - other).square()
    with torch.no_grad():
        weight = unlike / (1 - overlap + unlike + EPSILON)
    return overlap - distance - weight * unlike


def generalized_overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Return GIoU [...] of boxes [..., 4] and [..., 4]: IoU - (C - union) / C, from -1 to 1.

    C is the area of the smallest box around both. Source: Rezatofighi et al. 2019,
    arXiv:1902.09630, algorithm 1.
    """
    overlap, union, enclosing = _measures(boxes, others)
    whole = enclosing.prod(-1)
    return overlap - (whole - union) / (whole + EPSILON)


def _measures(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return intersection over union [...], union [...], and sides [..., 2] of what is around."""
    low, high = boxes[..., :2], boxes[..., 2:]
    inner = torch.minimum(high, others[..., 2:]) - torch.maximum(low, others[..., :2])
    inside = inner.clamp(min=0).prod(-1)
    union = areas(boxes) + areas(others) - inside
    enclosing = torch.maximum(high, others[..., 2:]) - torch.minimum(low, others[..., :2])
    return inside / (union + EPSILON), union, enclosing


def _angle(boxes: Tensor) -> Tensor:
    sides = boxes[..., 2:] - boxes[..., :2]
    return (sides[..., 0] / (sides[..., 1] + EPSILON)).atan()
