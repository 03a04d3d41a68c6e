"""Faster R-CNN (Ren et al. 2015) and Mask R-CNN (He et al. 2017), on pyramids."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from detectors.torchvision_style.anchors import AnchorGenerator
from detectors.torchvision_style.backbones import LastLevelMaxPool, mobilenet_fpn, resnet_fpn
from detectors.torchvision_style.regions import RegionProposalNetwork, RPNHead
from detectors.torchvision_style.roi_align import MultiScaleRoIAlign
from detectors.torchvision_style.roi_heads import (
    FastRCNNPredictor,
    MaskRCNNHeads,
    MaskRCNNPredictor,
    RoIHeads,
    TwoMLPHead,
)
from detectors.torchvision_style.transform import GeneralizedRCNNTransform, sizes_of

MAPS = ["0", "1", "2", "3"]
"""Maps that regions are cut from; those that a pyramid lacks are not missed."""


class GeneralizedRCNN(nn.Module):
    """A transform, a backbone, proposals, and heads over them."""

    def __init__(
        self, backbone: nn.Module, rpn: nn.Module, roi_heads: nn.Module, transform: nn.Module
    ) -> None:
        super().__init__()
        self.transform = transform
        self.backbone = backbone
        self.rpn = rpn
        self.roi_heads = roi_heads

    def forward(
        self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None
    ) -> list[dict[str, Tensor]]:
        if self.training:
            raise ValueError("these detectors are for eval mode")
        original_image_sizes = sizes_of(images)
        seen, targets = self.transform(images, targets)
        features = self.backbone(seen.tensors)
        if isinstance(features, Tensor):
            features = OrderedDict([("0", features)])
        proposals, _ = self.rpn(seen, features, targets)
        found, _ = self.roi_heads(features, proposals, seen.image_sizes, targets)
        return self.transform.postprocess(found, seen.image_sizes, original_image_sizes)


class FasterRCNN(GeneralizedRCNN):
    """Boxes of regions."""

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        *,
        anchor_generator: AnchorGenerator,
        representation_size: int = 32,
        box_score_thresh: float = 0.2,
    ) -> None:
        channels = backbone.out_channels
        head = RPNHead(channels, anchor_generator.num_anchors_per_location()[0])
        rpn = RegionProposalNetwork(anchor_generator, head, pre_nms_top_n=60, post_nms_top_n=30)
        pool = MultiScaleRoIAlign(MAPS, output_size=7, sampling_ratio=2, canonical_scale=48)
        roi_heads = RoIHeads(
            pool,
            TwoMLPHead(channels * pool.output_size[0] ** 2, representation_size),
            FastRCNNPredictor(representation_size, num_classes),
            score_thresh=box_score_thresh,
        )
        super().__init__(backbone, rpn, roi_heads, GeneralizedRCNNTransform(96, 128))


class MaskRCNN(FasterRCNN):
    """Boxes of regions, and the mask of what is in each."""

    def __init__(
        self, backbone: nn.Module, num_classes: int, *, anchor_generator: AnchorGenerator
    ) -> None:
        super().__init__(backbone, num_classes, anchor_generator=anchor_generator)
        self.roi_heads.mask_roi_pool = MultiScaleRoIAlign(
            MAPS, output_size=14, sampling_ratio=2, canonical_scale=48
        )
        self.roi_heads.mask_head = MaskRCNNHeads(backbone.out_channels, (12, 12))
        self.roi_heads.mask_predictor = MaskRCNNPredictor(12, 8, num_classes)


def _pyramid_anchors() -> AnchorGenerator:
    """Return one size a level of a ResNet's five."""
    sizes = ((8,), (16,), (32,), (64,), (96,))
    return AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))


def fasterrcnn_resnet(classes: int) -> nn.Module:
    """Return a Faster R-CNN on levels 2 to 6 of a ResNet."""
    backbone = resnet_fpn((1, 2, 3, 4), LastLevelMaxPool())
    return FasterRCNN(backbone, classes, anchor_generator=_pyramid_anchors())


def fasterrcnn_mobilenet(classes: int) -> nn.Module:
    """Return a Faster R-CNN on three levels of a MobileNetV3, with all sizes on each."""
    anchors = AnchorGenerator(((12, 24, 48, 72, 96),) * 3, ((0.5, 1.0, 2.0),) * 3)
    return FasterRCNN(mobilenet_fpn(), classes, anchor_generator=anchors)


def maskrcnn(classes: int) -> nn.Module:
    """Return a Mask R-CNN on levels 2 to 6 of a ResNet."""
    backbone = resnet_fpn((1, 2, 3, 4), LastLevelMaxPool())
    return MaskRCNN(backbone, classes, anchor_generator=_pyramid_anchors())
