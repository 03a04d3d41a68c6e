"""What Faster R-CNN and Mask R-CNN do in each region (Ren et al. 2015, He et al. 2017)."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectors.torchvision_style.boxes import Size, batched_nms, clip_boxes, large_enough
from detectors.torchvision_style.coders import BoxCoder
from detectors.torchvision_style.layers import Conv2dNormActivation


class TwoMLPHead(nn.Module):
    """Two linear layers over a region's map."""

    def __init__(self, channels: int, representation_size: int) -> None:
        super().__init__()
        self.fc6 = nn.Linear(channels, representation_size)
        self.fc7 = nn.Linear(representation_size, representation_size)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.fc6(x.flatten(start_dim=1)))
        return F.relu(self.fc7(x))


class FastRCNNPredictor(nn.Module):
    """Class logits [R, K] and box codes [R, K * 4]."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(channels, num_classes)
        self.bbox_pred = nn.Linear(channels, num_classes * 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.dim() == 4 and list(x.shape[2:]) != [1, 1]:
            raise ValueError(f"a predictor takes [R, C] or [R, C, 1, 1], got {list(x.shape)}")
        x = x.flatten(start_dim=1)
        return self.cls_score(x), self.bbox_pred(x)


class MaskRCNNHeads(nn.Sequential):
    """Convolutions over a region's map."""

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        layers = []
        for width in widths:
            layers.append(Conv2dNormActivation(channels, width, norm=None))
            channels = width
        super().__init__(*layers)


class MaskRCNNPredictor(nn.Sequential):
    """A map twice as large, then a logit a class."""

    def __init__(self, channels: int, width: int, num_classes: int) -> None:
        layers = OrderedDict[str, nn.Module]()
        layers["conv5_mask"] = nn.ConvTranspose2d(channels, width, 2, 2, 0)
        layers["relu"] = nn.ReLU(inplace=True)
        layers["mask_fcn_logits"] = nn.Conv2d(width, num_classes, 1, 1, 0)
        super().__init__(layers)


def maskrcnn_inference(x: Tensor, labels: list[Tensor]) -> tuple[Tensor, ...]:
    """Return the probabilities [n, 1, M, M] of each image's classes, from logits [R, K, M, M]."""
    joined = torch.cat(labels)
    own = x.sigmoid()[torch.arange(x.shape[0]), joined][:, None]
    return own.split([len(of_image) for of_image in labels], dim=0)


class RoIHeads(nn.Module):
    """Pools each proposal, says its class and box, and its mask where there is a mask head."""

    def __init__(
        self,
        box_roi_pool: nn.Module,
        box_head: nn.Module,
        box_predictor: nn.Module,
        *,
        score_thresh: float,
        nms_thresh: float = 0.5,
        detections_per_img: int = 40,
    ) -> None:
        super().__init__()
        self.box_coder = BoxCoder((10.0, 10.0, 5.0, 5.0))
        self.box_roi_pool = box_roi_pool
        self.box_head = box_head
        self.box_predictor = box_predictor
        self.score_thresh, self.nms_thresh = score_thresh, nms_thresh
        self.detections_per_img = detections_per_img
        self.mask_roi_pool: nn.Module | None = None
        self.mask_head: nn.Module | None = None
        self.mask_predictor: nn.Module | None = None

    def has_mask(self) -> bool:
        """Return whether masks are wanted too."""
        return None not in (self.mask_roi_pool, self.mask_head, self.mask_predictor)

    def postprocess_detections(
        self,
        class_logits: Tensor,
        box_regression: Tensor,
        proposals: list[Tensor],
        image_shapes: list[Size],
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Return boxes, scores and labels of each image; each class is a candidate of its own."""
        counts = [len(of_image) for of_image in proposals]
        all_boxes = self.box_coder.decode(box_regression, proposals).split(counts, 0)
        all_scores = F.softmax(class_logits, -1).split(counts, 0)
        found_boxes, found_scores, found_labels = [], [], []
        for boxes, scores, size in zip(all_boxes, all_scores, image_shapes, strict=True):
            labels = torch.arange(class_logits.shape[-1]).view(1, -1).expand_as(scores)
            boxes = clip_boxes(boxes, size)[:, 1:].reshape(-1, 4)
            scores, labels = scores[:, 1:].reshape(-1), labels[:, 1:].reshape(-1)
            kept = torch.where(scores > self.score_thresh)[0]
            boxes, scores, labels = boxes[kept], scores[kept], labels[kept]
            kept = large_enough(boxes, 1e-2)
            boxes, scores, labels = boxes[kept], scores[kept], labels[kept]
            kept = batched_nms(boxes, scores, labels, self.nms_thresh)[: self.detections_per_img]
            found_boxes.append(boxes[kept])
            found_scores.append(scores[kept])
            found_labels.append(labels[kept])
        return found_boxes, found_scores, found_labels

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[Size],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        box_features = self.box_roi_pool(features, proposals, image_shapes)
        box_features = self.box_head(box_features)
        class_logits, box_regression = self.box_predictor(box_features)
        boxes, scores, labels = self.postprocess_detections(
            class_logits, box_regression, proposals, image_shapes
        )
        result = [
            {"boxes": boxes[index], "labels": labels[index], "scores": scores[index]}
            for index in range(len(boxes))
        ]
        if self.has_mask():
            mask_features = self.mask_roi_pool(features, boxes, image_shapes)
            mask_logits = self.mask_predictor(self.mask_head(mask_features))
            masks = maskrcnn_inference(mask_logits, labels)
            for mask, found in zip(masks, result, strict=True):
                found["masks"] = mask
        return result, {}
