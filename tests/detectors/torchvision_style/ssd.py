"""SSD on a VGG body (Liu et al. 2016) and SSDLite on a MobileNetV3 body (Howard et al. 2019)."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectors.torchvision_style.anchors import DefaultBoxGenerator
from detectors.torchvision_style.backbones import mobilenet_features
from detectors.torchvision_style.boxes import clip_boxes
from detectors.torchvision_style.coders import BoxCoder
from detectors.torchvision_style.layers import Conv2dNormActivation, Norm
from detectors.torchvision_style.one_stage import OneStage, Results, best, rows_of
from detectors.torchvision_style.transform import GeneralizedRCNNTransform, ImageList


class SSDScoringHead(nn.Module):
    """One predictor a map, their results joined to [N, P, columns]."""

    def __init__(self, module_list: nn.ModuleList, num_columns: int) -> None:
        super().__init__()
        self.module_list = module_list
        self.num_columns = num_columns

    def forward(self, x: list[Tensor]) -> Tensor:
        results = [
            rows_of(predictor(features), self.num_columns)
            for predictor, features in zip(self.module_list, x, strict=True)
        ]
        return torch.cat(results, dim=1)


class SSDHead(nn.Module):
    """Box codes and class logits of all maps."""

    def __init__(self, classification_head: nn.Module, regression_head: nn.Module) -> None:
        super().__init__()
        self.classification_head = classification_head
        self.regression_head = regression_head

    def forward(self, x: list[Tensor]) -> dict[str, Tensor]:
        return {
            "bbox_regression": self.regression_head(x),
            "cls_logits": self.classification_head(x),
        }


class SSD(OneStage):
    """SSD: default boxes, softmax over classes, background first."""

    def __init__(
        self,
        backbone: nn.Module,
        anchor_generator: DefaultBoxGenerator,
        *,
        head: nn.Module,
        transform: GeneralizedRCNNTransform,
        score_thresh: float,
        nms_thresh: float,
    ) -> None:
        super().__init__(
            backbone,
            anchor_generator,
            head=head,
            transform=transform,
            score_thresh=score_thresh,
            nms_thresh=nms_thresh,
        )
        self.box_coder = BoxCoder(weights=(10.0, 10.0, 5.0, 5.0))

    def detections(
        self,
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        *,
        images: ImageList,
        features: list[Tensor],
    ) -> Results:
        return self.postprocess_detections(head_outputs, anchors, images.image_sizes)

    def postprocess_detections(
        self,
        head_outputs: dict[str, Tensor],
        image_anchors: list[Tensor],
        image_shapes: list[tuple[int, int]],
    ) -> Results:
        """Return the results, class by class from 1."""
        codes, logits = head_outputs["bbox_regression"], head_outputs["cls_logits"]
        results = []
        for code, probabilities, anchors, size in zip(
            codes, F.softmax(logits, dim=-1), image_anchors, image_shapes, strict=True
        ):
            boxes = clip_boxes(self.box_coder.decode_single(code, anchors), size)
            found_boxes, found_scores, found_labels = [], [], []
            for label in range(1, probabilities.size(-1)):
                above = probabilities[:, label] > self.score_thresh
                scores = probabilities[:, label][above]
                scores, order = scores.topk(min(len(scores), self.topk_candidates))
                found_boxes.append(boxes[above][order])
                found_scores.append(scores)
                found_labels.append(torch.full_like(scores, label, dtype=torch.int64))
            results.append(
                best(
                    found_boxes,
                    found_scores,
                    found_labels,
                    overlap=self.nms_thresh,
                    most=self.detections_per_img,
                )
            )
        return results


def _convs(widths: list[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
    return layers


class SSDFeatureExtractorVGG(nn.Module):
    """VGG up to conv4, whose map is divided by its norm and scaled; then four more maps."""

    def __init__(self) -> None:
        super().__init__()
        self.scale_weight = nn.Parameter(torch.ones(16) * 20)
        self.features = nn.Sequential(
            *_convs([3, 8, 8]),
            nn.MaxPool2d(2, 2),
            *_convs([8, 12]),
            nn.MaxPool2d(2, 2),
            *_convs([12, 16]),
            nn.MaxPool2d(2, 2, ceil_mode=True),
            *_convs([16, 16]),
        )
        fc = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=False),
            nn.Conv2d(16, 32, kernel_size=3, padding=6, dilation=6),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 32, kernel_size=1),
            nn.ReLU(inplace=True),
        )
        self.extra = nn.ModuleList(
            [
                nn.Sequential(nn.MaxPool2d(2, 2), *_convs([16, 16]), fc),
                self._smaller(32, 24, stride=2, padding=1),
                self._smaller(24, 16, stride=1, padding=0),
            ]
        )

    @staticmethod
    def _smaller(channels: int, out_channels: int, *, stride: int, padding: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(channels, 8, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, out_channels, kernel_size=3, padding=padding, stride=stride),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.features(x)
        output = [self.scale_weight.view(1, -1, 1, 1) * F.normalize(x)]
        for block in self.extra:
            x = block(x)
            output.append(x)
        return OrderedDict([(str(index), value) for index, value in enumerate(output)])


def ssd(classes: int) -> nn.Module:
    """Return an SSD at 96 x 96 with maps of 12, 6, 3 and 1."""
    anchors = DefaultBoxGenerator([[2], [2, 3], [2, 3], [2]], steps=[8, 16, 32, 96])
    widths, at_each = [16, 32, 24, 16], anchors.num_anchors_per_location()

    def predictors(columns: int) -> SSDScoringHead:
        pairs = zip(widths, at_each, strict=True)
        convs = [nn.Conv2d(width, columns * count, 3, padding=1) for width, count in pairs]
        return SSDScoringHead(nn.ModuleList(convs), columns)

    return SSD(
        SSDFeatureExtractorVGG(),
        anchors,
        head=SSDHead(predictors(classes), predictors(4)),
        transform=GeneralizedRCNNTransform(
            96,
            96,
            (0.48235, 0.45882, 0.40784),
            (1.0 / 255.0, 1.0 / 255.0, 1.0 / 255.0),
            size_divisible=1,
            fixed_size=(96, 96),
        ),
        score_thresh=0.25,
        nms_thresh=0.45,
    )


class SSDLiteFeatureExtractorMobileNet(nn.Module):
    """MobileNetV3 cut inside a block, after its expansion; then four extra maps."""

    def __init__(self, layers: nn.Sequential, c4_pos: int, *, norm: Norm) -> None:
        super().__init__()
        block = layers[c4_pos].block
        self.features = nn.Sequential(
            nn.Sequential(*layers[:c4_pos], block[0]),
            nn.Sequential(block[1:], *layers[c4_pos + 1 :]),
        )
        widths = [layers[-1].out_channels, 32, 24, 24, 16]
        self.extra = nn.ModuleList([_extra(a, b, norm) for a, b in pairwise(widths)])

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        output = []
        for block in self.features:
            x = block(x)
            output.append(x)
        for block in self.extra:
            x = block(x)
            output.append(x)
        return OrderedDict([(str(index), value) for index, value in enumerate(output)])


def _extra(channels: int, out_channels: int, norm: Norm) -> nn.Module:
    middle = out_channels // 2
    layer = partial(Conv2dNormActivation, norm=norm, activation=nn.ReLU6)
    return nn.Sequential(
        layer(channels, middle, 1),
        layer(middle, middle, stride=2, groups=middle),
        layer(middle, out_channels, 1),
    )


def _light_predictor(channels: int, out_channels: int, norm: Norm) -> nn.Module:
    return nn.Sequential(
        Conv2dNormActivation(channels, channels, groups=channels, norm=norm, activation=nn.ReLU6),
        nn.Conv2d(channels, out_channels, 1),
    )


def ssdlite(classes: int) -> nn.Module:
    """Return an SSDLite at 128 x 128 with maps of 8, 4, 2, 1, 1 and 1."""
    norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
    anchors = DefaultBoxGenerator([[2, 3]] * 6, min_ratio=0.2, max_ratio=0.95)
    backbone = SSDLiteFeatureExtractorMobileNet(mobilenet_features(norm), 6, norm=norm)
    widths, at_each = [48, 48, 32, 24, 24, 16], anchors.num_anchors_per_location()

    def predictors(columns: int) -> SSDScoringHead:
        pairs = zip(widths, at_each, strict=True)
        blocks = [_light_predictor(width, columns * count, norm) for width, count in pairs]
        return SSDScoringHead(nn.ModuleList(blocks), columns)

    return SSD(
        backbone,
        anchors,
        head=SSDHead(predictors(classes), predictors(4)),
        transform=GeneralizedRCNNTransform(
            128, 128, (0.5,) * 3, (0.5,) * 3, size_divisible=1, fixed_size=(128, 128)
        ),
        score_thresh=0.25,
        nms_thresh=0.55,
    )
