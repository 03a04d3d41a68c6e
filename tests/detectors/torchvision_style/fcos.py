"""FCOS (Tian et al. 2019): one point a place, distances to the sides, centre-ness, group norms."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectors.torchvision_style.anchors import AnchorGenerator
from detectors.torchvision_style.backbones import LastLevelP6P7, resnet_fpn
from detectors.torchvision_style.boxes import clip_boxes
from detectors.torchvision_style.coders import BoxLinearCoder
from detectors.torchvision_style.one_stage import (
    OneStage,
    Results,
    best,
    by_level,
    candidates,
    rows_of,
)
from detectors.torchvision_style.transform import GeneralizedRCNNTransform, ImageList


def _tower(channels: int, groups: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(4):
        conv = nn.Conv2d(channels, channels, 3, padding=1)
        layers += [conv, nn.GroupNorm(groups, channels), nn.ReLU()]
    return nn.Sequential(*layers)


class FCOSClassificationHead(nn.Module):
    """Class logits [N, P, K] of all levels."""

    def __init__(self, channels: int, num_anchors: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes, self.num_anchors = num_classes, num_anchors
        self.conv = _tower(channels, groups=4)
        self.cls_logits = nn.Conv2d(channels, num_anchors * num_classes, 3, padding=1)

    def forward(self, x: list[Tensor]) -> Tensor:
        levels = []
        for features in x:
            levels.append(rows_of(self.cls_logits(self.conv(features)), self.num_classes))
        return torch.cat(levels, dim=1)


class FCOSRegressionHead(nn.Module):
    """Distances [N, P, 4] and centre-ness [N, P, 1] of all levels."""

    def __init__(self, channels: int, num_anchors: int) -> None:
        super().__init__()
        self.conv = _tower(channels, groups=4)
        self.bbox_reg = nn.Conv2d(channels, num_anchors * 4, 3, padding=1)
        self.bbox_ctrness = nn.Conv2d(channels, num_anchors, 3, padding=1)

    def forward(self, x: list[Tensor]) -> tuple[Tensor, Tensor]:
        distances, centreness = [], []
        for features in x:
            shared = self.conv(features)
            distances.append(rows_of(F.relu(self.bbox_reg(shared)), 4))
            centreness.append(rows_of(self.bbox_ctrness(shared), 1))
        return torch.cat(distances, dim=1), torch.cat(centreness, dim=1)


class FCOSHead(nn.Module):
    """Class logits, distances, centre-ness."""

    def __init__(self, channels: int, num_anchors: int, num_classes: int) -> None:
        super().__init__()
        self.classification_head = FCOSClassificationHead(channels, num_anchors, num_classes)
        self.regression_head = FCOSRegressionHead(channels, num_anchors)

    def forward(self, x: list[Tensor]) -> dict[str, Tensor]:
        cls_logits = self.classification_head(x)
        bbox_regression, bbox_ctrness = self.regression_head(x)
        return {
            "cls_logits": cls_logits,
            "bbox_regression": bbox_regression,
            "bbox_ctrness": bbox_ctrness,
        }


class FCOS(OneStage):
    """FCOS."""

    def __init__(
        self,
        backbone: nn.Module,
        anchor_generator: AnchorGenerator,
        *,
        head: nn.Module,
        transform: GeneralizedRCNNTransform,
        score_thresh: float = 0.2,
        nms_thresh: float = 0.6,
    ) -> None:
        super().__init__(
            backbone,
            anchor_generator,
            head=head,
            transform=transform,
            score_thresh=score_thresh,
            nms_thresh=nms_thresh,
        )
        self.box_coder = BoxLinearCoder(normalize_by_size=True)

    def detections(
        self,
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        *,
        images: ImageList,
        features: list[Tensor],
    ) -> Results:
        outputs, split_anchors = by_level(head_outputs, anchors, features)
        return self.postprocess_detections(outputs, split_anchors, images.image_sizes)

    def postprocess_detections(
        self,
        head_outputs: dict[str, list[Tensor]],
        anchors: list[list[Tensor]],
        image_shapes: list[tuple[int, int]],
    ) -> Results:
        """Return the results; a score is the geometric mean of class and centre-ness."""
        results = []
        for index, size in enumerate(image_shapes):
            boxes, scores, labels = [], [], []
            for distances, logits, centreness, of_level in zip(
                head_outputs["bbox_regression"],
                head_outputs["cls_logits"],
                head_outputs["bbox_ctrness"],
                anchors[index],
                strict=True,
            ):
                likely = torch.sigmoid(logits[index]) * torch.sigmoid(centreness[index])
                found, places, classes = candidates(
                    torch.sqrt(likely), self.score_thresh, self.topk_candidates
                )
                decoded = self.box_coder.decode(distances[index][places], of_level[places])
                boxes.append(clip_boxes(decoded, size))
                scores.append(found)
                labels.append(classes)
            most = self.detections_per_img
            results.append(best(boxes, scores, labels, overlap=self.nms_thresh, most=most))
        return results


def fcos(classes: int) -> nn.Module:
    """Return an FCOS on levels 3 to 7 of a ResNet."""
    sizes = ((8,), (16,), (32,), (64,), (128,))
    return FCOS(
        resnet_fpn((2, 3, 4), LastLevelP6P7(16, 16)),
        AnchorGenerator(sizes, ((1.0,),) * len(sizes)),
        head=FCOSHead(16, 1, classes),
        transform=GeneralizedRCNNTransform(96, 128),
    )
