"""Masks of boxes, pasted into the image (He et al. 2017)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from detectors.torchvision_style.boxes import Size


def paste_masks(masks: Tensor, boxes: Tensor, size: Size, padding: int = 1) -> Tensor:
    """Return [n, 1, *size] from masks [n, 1, M, M] of boxes [n, 4]; 0 outside of each box."""
    padded = F.pad(masks, (padding,) * 4)
    growth = padded.shape[-1] / masks.shape[-1]
    centres, halves = (boxes[:, 2:] + boxes[:, :2]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    grown = torch.cat((centres - halves * growth, centres + halves * growth), dim=1).long()
    pasted = [_paste(mask, box, size) for mask, box in zip(padded, grown, strict=True)]
    return torch.stack(pasted) if pasted else masks.new_empty((0, 1, *size))


def _paste(mask: Tensor, box: Tensor, size: Size) -> Tensor:
    """Return [1, *size] with the mask [1, M, M] resized to the box, ends included."""
    left, top, right, bottom = (int(end) for end in box)
    height, width = max(bottom - top + 1, 1), max(right - left + 1, 1)
    resized = F.interpolate(mask[None], (height, width), mode="bilinear", align_corners=False)[0]
    x_0, x_1 = max(left, 0), min(right + 1, size[1])
    y_0, y_1 = max(top, 0), min(bottom + 1, size[0])
    image = mask.new_zeros((1, *size))
    image[:, y_0:y_1, x_0:x_1] = resized[:, y_0 - top : y_1 - top, x_0 - left : x_1 - left]
    return image
