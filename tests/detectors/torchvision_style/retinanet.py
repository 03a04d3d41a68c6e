"""RetinaNet (Lin et al. 2017): anchors on five levels, a sigmoid a class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detectors.torchvision_style.anchors import AnchorGenerator
from detectors.torchvision_style.backbones import LastLevelP6P7, resnet_fpn
from detectors.torchvision_style.boxes import clip_boxes
from detectors.torchvision_style.coders import BoxCoder
from detectors.torchvision_style.layers import Conv2dNormActivation
from detectors.torchvision_style.one_stage import (
    OneStage,
    Results,
    best,
    by_level,
    candidates,
    rows_of,
)
from detectors.torchvision_style.transform import GeneralizedRCNNTransform, ImageList


def _tower(channels: int) -> nn.Sequential:
    return nn.Sequential(*(Conv2dNormActivation(channels, channels, norm=None) for _ in range(4)))


class RetinaNetClassificationHead(nn.Module):
    """Class logits [N, P, K] of all levels, by the same convolutions on each."""

    def __init__(self, channels: int, num_anchors: int, num_classes: int) -> None:
        super().__init__()
        self.conv = _tower(channels)
        self.cls_logits = nn.Conv2d(channels, num_anchors * num_classes, 3, padding=1)
        self.num_classes, self.num_anchors = num_classes, num_anchors

    def forward(self, x: list[Tensor]) -> Tensor:
        levels = []
        for features in x:
            levels.append(rows_of(self.cls_logits(self.conv(features)), self.num_classes))
        return torch.cat(levels, dim=1)


class RetinaNetRegressionHead(nn.Module):
    """Box codes [N, P, 4] of all levels, by the same convolutions on each."""

    def __init__(self, channels: int, num_anchors: int) -> None:
        super().__init__()
        self.conv = _tower(channels)
        self.bbox_reg = nn.Conv2d(channels, num_anchors * 4, 3, padding=1)
        self.box_coder = BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))

    def forward(self, x: list[Tensor]) -> Tensor:
        levels = []
        for features in x:
            levels.append(rows_of(self.bbox_reg(self.conv(features)), 4))
        return torch.cat(levels, dim=1)


class RetinaNetHead(nn.Module):
    """Class logits and box codes."""

    def __init__(self, channels: int, num_anchors: int, num_classes: int) -> None:
        super().__init__()
        self.classification_head = RetinaNetClassificationHead(channels, num_anchors, num_classes)
        self.regression_head = RetinaNetRegressionHead(channels, num_anchors)

    def forward(self, x: list[Tensor]) -> dict[str, Tensor]:
        return {
            "cls_logits": self.classification_head(x),
            "bbox_regression": self.regression_head(x),
        }


class RetinaNet(OneStage):
    """RetinaNet."""

    def __init__(
        self,
        backbone: nn.Module,
        anchor_generator: AnchorGenerator,
        *,
        head: nn.Module,
        transform: GeneralizedRCNNTransform,
        score_thresh: float = 0.2,
        nms_thresh: float = 0.5,
    ) -> None:
        super().__init__(
            backbone,
            anchor_generator,
            head=head,
            transform=transform,
            score_thresh=score_thresh,
            nms_thresh=nms_thresh,
        )
        self.box_coder = BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))

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
        """Return the results, the best of each level first."""
        results = []
        for index, size in enumerate(image_shapes):
            boxes, scores, labels = [], [], []
            for codes, logits, of_level in zip(
                head_outputs["bbox_regression"],
                head_outputs["cls_logits"],
                anchors[index],
                strict=True,
            ):
                found, places, classes = candidates(
                    torch.sigmoid(logits[index]), self.score_thresh, self.topk_candidates
                )
                decoded = self.box_coder.decode_single(codes[index][places], of_level[places])
                boxes.append(clip_boxes(decoded, size))
                scores.append(found)
                labels.append(classes)
            most = self.detections_per_img
            results.append(best(boxes, scores, labels, overlap=self.nms_thresh, most=most))
        return results


def retinanet(classes: int) -> nn.Module:
    """Return a RetinaNet on levels 3 to 7 of a ResNet."""
    sides = [8, 16, 32, 64, 96]
    sizes = tuple((side, int(side * 2 ** (1 / 3)), int(side * 2 ** (2 / 3))) for side in sides)
    anchors = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))
    backbone = resnet_fpn((2, 3, 4), LastLevelP6P7(16, 16))
    return RetinaNet(
        backbone,
        anchors,
        head=RetinaNetHead(16, anchors.num_anchors_per_location()[0], classes),
        transform=GeneralizedRCNNTransform(96, 128),
    )
