"""The region proposal network of Faster R-CNN (Ren et al. 2015)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detectors.torchvision_style.boxes import Size, batched_nms, clip_boxes, large_enough
from detectors.torchvision_style.coders import BoxCoder
from detectors.torchvision_style.layers import Conv2dNormActivation
from detectors.torchvision_style.one_stage import rows_of
from detectors.torchvision_style.transform import ImageList


class RPNHead(nn.Module):
    """Objectness [N, A, H, W] and box codes [N, 4 A, H, W] of each level, in two lists."""

    def __init__(self, channels: int, num_anchors: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(Conv2dNormActivation(channels, channels, norm=None))
        self.cls_logits = nn.Conv2d(channels, num_anchors, kernel_size=1)
        self.bbox_pred = nn.Conv2d(channels, num_anchors * 4, kernel_size=1)

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        logits, codes = [], []
        for feature in x:
            shared = self.conv(feature)
            logits.append(self.cls_logits(shared))
            codes.append(self.bbox_pred(shared))
        return logits, codes


def concat_box_prediction_layers(
    objectness: list[Tensor], codes: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Return [N * P, 1] and [N * P, 4] of all levels."""
    logits = torch.cat([rows_of(level, 1) for level in objectness], dim=1)
    return logits.flatten(0, -2), torch.cat([rows_of(level, 4) for level in codes], 1).view(-1, 4)


class RegionProposalNetwork(nn.Module):
    """The best boxes of each image, of whatever class; the second result is there for losses."""

    def __init__(
        self,
        anchor_generator: nn.Module,
        head: nn.Module,
        *,
        pre_nms_top_n: int,
        post_nms_top_n: int,
        nms_thresh: float = 0.7,
        score_thresh: float = 0.0,
    ) -> None:
        super().__init__()
        self.anchor_generator = anchor_generator
        self.head = head
        self.box_coder = BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
        self._pre_nms_top_n = {"training": pre_nms_top_n, "testing": pre_nms_top_n}
        self._post_nms_top_n = {"training": post_nms_top_n, "testing": post_nms_top_n}
        self.nms_thresh, self.score_thresh, self.min_size = nms_thresh, score_thresh, 1e-3

    def pre_nms_top_n(self) -> int:
        """Return how many boxes of a level are looked at."""
        return self._pre_nms_top_n["training" if self.training else "testing"]

    def post_nms_top_n(self) -> int:
        """Return how many boxes of an image are proposed."""
        return self._post_nms_top_n["training" if self.training else "testing"]

    def _get_top_n_idx(self, objectness: Tensor, counts: list[int]) -> Tensor:
        """Return [N, n]: the best of each level, by their index among all."""
        indices, offset = [], 0
        for level in objectness.split(counts, 1):
            most = min(self.pre_nms_top_n(), level.shape[1])
            indices.append(level.topk(most, dim=1)[1] + offset)
            offset += level.shape[1]
        return torch.cat(indices, dim=1)

    def filter_proposals(
        self, proposals: Tensor, objectness: Tensor, image_shapes: list[Size], counts: list[int]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return boxes and scores of each image: the best of each level, suppressed by level."""
        images = proposals.shape[0]
        objectness = objectness.detach().reshape(images, -1)
        numbers = [torch.full((count,), index) for index, count in enumerate(counts)]
        levels = torch.cat(numbers).reshape(1, -1).expand_as(objectness)
        chosen = self._get_top_n_idx(objectness, counts)
        rows = torch.arange(images)[:, None]
        scores = torch.sigmoid(objectness[rows, chosen])
        final_boxes, final_scores = [], []
        for boxes, score, level, size in zip(
            proposals[rows, chosen], scores, levels[rows, chosen], image_shapes, strict=True
        ):
            boxes = clip_boxes(boxes, size)
            kept = large_enough(boxes, self.min_size)
            boxes, score, level = boxes[kept], score[kept], level[kept]
            kept = torch.where(score >= self.score_thresh)[0]
            boxes, score, level = boxes[kept], score[kept], level[kept]
            kept = batched_nms(boxes, score, level, self.nms_thresh)[: self.post_nms_top_n()]
            final_boxes.append(boxes[kept])
            final_scores.append(score[kept])
        return final_boxes, final_scores

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        maps = list(features.values())
        objectness, codes = self.head(maps)
        anchors = self.anchor_generator(images, maps)
        counts = [level[0].numel() for level in objectness]
        logits, joined = concat_box_prediction_layers(objectness, codes)
        proposals = self.box_coder.decode(joined.detach(), anchors).view(len(anchors), -1, 4)
        boxes, _ = self.filter_proposals(proposals, logits, images.image_sizes, counts)
        return boxes, {}
