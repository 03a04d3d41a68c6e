"""Boxes [n, 4] as left, top, right, bottom in pixels: overlaps, suppression, clipping, resizing."""

from __future__ import annotations

import torch
from torch import Tensor

Size = tuple[int, int]
"""Height and width in pixels."""


def areas(boxes: Tensor) -> Tensor:
    """Return the areas [n] of boxes [n, 4], in square pixels."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Return intersection over union [n, m] of boxes [n, 4] with others [m, 4]."""
    start = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    end = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (end - start).clamp(min=0).prod(-1)  # [n, m]
    return shared / (areas(boxes)[:, None] + areas(others)[None] - shared)


def nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Return the indices of the boxes kept, the best first.

    Greedy: a box falls where it overlaps a kept one with a higher score by more than `threshold`.
    """
    order = scores.argsort(descending=True, stable=True)
    covers = overlaps(boxes[order], boxes[order]) > threshold  # [n, n]
    fallen = torch.zeros(len(order), dtype=torch.bool)
    for index in range(len(order)):
        if not fallen[index]:
            fallen[index + 1 :] |= covers[index, index + 1 :]
    return order[~fallen]


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float) -> Tensor:
    """Return the indices that `nms` keeps within each group (class or level), the best first."""
    kept = torch.zeros(len(scores), dtype=torch.bool)
    for group in groups.unique():
        members = torch.where(groups == group)[0]
        kept[members[nms(boxes[members], scores[members], threshold)]] = True
    indices = torch.where(kept)[0]
    return indices[scores[indices].argsort(descending=True, stable=True)]


def clip_boxes(boxes: Tensor, size: Size) -> Tensor:
    """Return boxes [..., 4] cut at the borders of an image of this size."""
    height, width = size
    x = boxes[..., 0::2].clamp(min=0, max=width)
    y = boxes[..., 1::2].clamp(min=0, max=height)
    return torch.stack((x, y), dim=-1).reshape(boxes.shape)


def large_enough(boxes: Tensor, least: float) -> Tensor:
    """Return the indices of the boxes whose two sides are at least this long."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return torch.where((sides >= least).all(dim=1))[0]


def resize_boxes(boxes: Tensor, size: Size, new_size: Size) -> Tensor:
    """Return boxes [n, 4] of an image of one size where it has another."""
    ratio_y, ratio_x = (
        torch.tensor(new, dtype=torch.float32) / torch.tensor(old, dtype=torch.float32)
        for old, new in zip(size, new_size, strict=True)
    )
    left, top, right, bottom = boxes.unbind(1)
    return torch.stack((left * ratio_x, top * ratio_y, right * ratio_x, bottom * ratio_y), dim=1)
