"""From what heads say of anchors to boxes."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class BoxCoder:
    """Shifts of the centre and logarithms of the size, each times a weight (Girshick et al.)."""

    def __init__(
        self,
        weights: tuple[float, float, float, float],
        bbox_xform_clip: float = math.log(1000.0 / 16),
    ) -> None:
        self.weights = weights
        self.bbox_xform_clip = bbox_xform_clip

    def decode(self, rel_codes: Tensor, boxes: list[Tensor]) -> Tensor:
        """Return [n, K, 4] from codes [n, K * 4] and the anchors of all images."""
        joined = torch.cat(boxes, dim=0)
        if len(joined):
            rel_codes = rel_codes.reshape(len(joined), -1)
        decoded = self.decode_single(rel_codes, joined)
        return decoded.reshape(len(joined), -1, 4) if len(joined) else decoded

    def decode_single(self, rel_codes: Tensor, boxes: Tensor) -> Tensor:
        """Return [n, K * 4] from codes [n, K * 4] and anchors [n, 4]."""
        sizes = boxes[:, 2:] - boxes[:, :2]  # [n, 2]
        centres = boxes[:, :2] + sizes / 2
        codes = rel_codes.unflatten(-1, (-1, 4)) / torch.tensor(self.weights)  # [n, K, 4]
        middles = codes[..., :2] * sizes[:, None] + centres[:, None]
        halves = codes[..., 2:].clamp(max=self.bbox_xform_clip).exp() * sizes[:, None] / 2
        return torch.cat((middles - halves, middles + halves), dim=-1).flatten(1)


class BoxLinearCoder:
    """Distances from the anchor's centre to the four sides, in anchor sizes (Tian et al. 2019)."""

    def __init__(self, normalize_by_size: bool = True) -> None:
        self.normalize_by_size = normalize_by_size

    def decode(self, rel_codes: Tensor, boxes: Tensor) -> Tensor:
        """Return [n, 4] from codes [n, 4] and anchors [n, 4]."""
        centres = (boxes[..., :2] + boxes[..., 2:]) / 2
        if self.normalize_by_size:
            sizes = boxes[..., 2:] - boxes[..., :2]
            rel_codes = rel_codes * torch.cat((sizes, sizes), dim=-1)
        return torch.cat((centres - rel_codes[..., :2], centres + rel_codes[..., 2:]), dim=-1)
