"""Faster R-CNN on a feature pyramid: a first stage proposes regions, a second one looks at each.

Sources: Ren et al. 2015, arXiv:1506.01497; Lin et al. 2017, arXiv:1612.03144, section 4.
Key names, anchors and thresholds of torchvision's detectors on MobileNets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intaglio.boxes import anchors, limits, two_stage
from intaglio.boxes.coders import Deltas
from intaglio.boxes.heads import Heads
from intaglio.boxes.limits import Limits
from intaglio.boxes.postprocess import Grid, Pooling, PostProcess, TwoStage
from intaglio.zoo.blocks import LINEAR_GAIN, RELU_GAIN, check_arguments, initialize, linear
from intaglio.zoo.bodies import body
from intaglio.zoo.fpn import CHANNELS, Maps, PyramidBackbone, Subsampled
from intaglio.zoo.regions import anchors_of, clipped, decoded, pooled_of_all, suppressed_by

STRIDES = (32, 32, 64)
"""Of the maps: before and behind the last stage of a MobileNet, and every second pixel of that."""
POOLED = 2  # regions are cut out of the maps but the last
SIZES = ((32, 64, 128, 256, 512),) * len(STRIDES)
ANCHORS = len(SIZES[0]) * len(anchors.PYRAMID_RATIOS)
FEATURES = 1024
REGIONS = Limits(above=0.05, before=1000, overlap=0.7, most=1000)
REGIONS_320 = Limits(above=0.05, before=150, overlap=0.7, most=150)
Found = dict[str, Tensor]
"""Of one image: boxes [n, 4] in pixels, labels [n] (background 0 is none), scores [n], falling."""


class RegionHead(nn.Module):
    """What each anchor is worth, and how it is to be moved. Keys: conv.0.0, cls_logits, bbox_pred.

    The same for every map.
    """

    def __init__(self, boxes: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Sequential(_conv(CHANNELS, 3, RELU_GAIN), nn.ReLU()))
        self.cls_logits = _conv(boxes, 1, LINEAR_GAIN)
        self.bbox_pred = _conv(4 * boxes, 1, LINEAR_GAIN)

    def forward(self, maps: Maps) -> tuple[Maps, Maps]:
        """Return objectness [N, A, H, W] and deltas [N, 4 * A, H, W] of each map [N, 256, H, W]."""
        hidden = [self.conv(one) for one in maps]
        objectness = tuple(self.cls_logits(one) for one in hidden)
        return objectness, tuple(self.bbox_pred(one) for one in hidden)


class RegionProposals(nn.Module):
    """The first stage behind the backbone. Keys: head."""

    def __init__(self, boxes: int) -> None:
        super().__init__()
        self.head = RegionHead(boxes)

    def forward(self, maps: Maps, post: PostProcess) -> list[Tensor]:
        """Return of each image its proposals [R, 4] in pixels, the surest first.

        No gradient flows through them: they are where the second stage looks.
        """
        objectness, deltas = self.head(maps)
        return [
            proposals(post, [one[index] for one in objectness], [one[index] for one in deltas])
            for index in range(len(maps[0]))
        ]


class BoxHead(nn.Module):
    """Regions [R, 256, 7, 7] to features [R, 1024], by two linear layers. Keys: fc6, fc7."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.fc6 = linear(in_features, FEATURES, RELU_GAIN)
        self.fc7 = linear(FEATURES, FEATURES, RELU_GAIN)

    def forward(self, regions: Tensor) -> Tensor:
        """Return the features of `regions`."""
        return F.relu(self.fc7(F.relu(self.fc6(regions.flatten(1)))))


class BoxPredictor(nn.Module):
    """Features [R, 1024] to scores and deltas of each class. Keys: cls_score, bbox_pred."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.cls_score = linear(FEATURES, num_classes)
        self.bbox_pred = linear(FEATURES, num_classes * 4)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [R, num_classes] and deltas [R, 4 * num_classes]."""
        return self.cls_score(features), self.bbox_pred(features)


class RegionHeads(nn.Module):
    """The second stage. Keys: box_head, box_predictor."""

    def __init__(self, pooling: Pooling, num_classes: int) -> None:
        super().__init__()
        self.pooling = pooling
        self.box_head = BoxHead(CHANNELS * pooling.size**2)
        self.box_predictor = BoxPredictor(num_classes)

    def forward(self, maps: Maps, boxes: Sequence[Tensor], post: PostProcess) -> list[Found]:
        """Return what is found in the `boxes` [R, 4] of each image, looked at in `maps`."""
        size = post.input_size
        regions = pooled_of_all(maps, boxes, pooling=self.pooling, input_size=size)
        scores, deltas = self.box_predictor(self.box_head(regions))
        counts = [len(one) for one in boxes]
        split = zip(boxes, scores.split(counts), deltas.split(counts), strict=True)
        return [found(post, *one) for one in split]


class FasterRcnn(nn.Module):
    """The network: images [N, 3, H, W] to what is found in each. Keys: backbone, rpn, roi_heads.

    What depends on the data (proposals, cutting out, suppression) stands between two networks that
    do not: see `stages`.

    Attributes:
        num_classes: With the background.
        backbone_keys: Where a classifier's weights go: see `bodies.load_backbone`.
    """

    def __init__(
        self,
        backbone: PyramidBackbone,
        *,
        num_classes: int,
        regions: Limits,
        backbone_keys: Mapping[str, str],
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.rpn = RegionProposals(ANCHORS)
        self.roi_heads = RegionHeads(Pooling(maps=tuple(range(POOLED))), num_classes)
        self.num_classes, self.region_limits = num_classes, regions
        self.backbone_keys = backbone_keys

    def forward(self, images: Tensor) -> list[Found]:
        """Return boxes, labels and scores of each of `images`, at most 100 an image."""
        post = self.postprocess((images.shape[-2], images.shape[-1]))
        maps = self.backbone(images)
        boxes = self.rpn(maps, post.regions)
        result: list[Found] = self.roi_heads(maps[:POOLED], boxes, post.head)
        return result

    def stages(self) -> tuple[FirstStage, SecondStage]:
        """Return the two networks that do not depend on the data, with this one's weights."""
        return FirstStage(self.backbone, self.rpn.head), SecondStage(self.roi_heads)

    def postprocess(self, input_size: tuple[int, int]) -> TwoStage:
        """Return what the numbers of both `stages` mean, at images of `input_size` (height, width).

        Outputs are numbered as the stages put them out.
        """
        sizes = anchors.map_sizes(input_size, STRIDES)
        places = anchors.anchor_grids(input_size, sizes, sizes=SIZES)
        first, behind = POOLED + len(STRIDES), POOLED + 2 * len(STRIDES)
        heads = Heads(tuple(range(first, behind)), tuple(range(POOLED, first)))
        regions = two_stage.rpn(input_size, places, heads=heads, limits=self.region_limits)
        head = two_stage.fast_rcnn(input_size, classes=self.num_classes, limits=limits.FAST_RCNN)
        return two_stage.faster_rcnn(regions, head, range(POOLED))


class FirstStage(nn.Module):
    """Images [N, 3, H, W] to two maps, objectness of three levels, and deltas of three levels."""

    def __init__(self, backbone: PyramidBackbone, head: RegionHead) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Tensor) -> Maps:
        """Return the maps that regions are cut out of, and the numbers of all anchors."""
        maps = self.backbone(images)
        objectness, deltas = self.head(maps)
        return (*maps[:POOLED], *objectness, *deltas)


class SecondStage(nn.Module):
    """Regions [R, 256, 7, 7] to logits [R, num_classes] and deltas [R, 4 * num_classes]."""

    def __init__(self, heads: RegionHeads) -> None:
        super().__init__()
        self.box_head, self.box_predictor = heads.box_head, heads.box_predictor

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the numbers of all `regions`."""
        numbers: tuple[Tensor, Tensor] = self.box_predictor(self.box_head(regions))
        return numbers


def proposals(post: PostProcess, objectness: Sequence[Tensor], deltas: Sequence[Tensor]) -> Tensor:
    """Return the regions [R, 4] that one image's first stage proposes, the surest first.

    Of each level the highest, moved, cut off at the border, without those that are tiny or worth
    too little; suppressed by level; then the highest over all.

    Args:
        post: `regions` of a `TwoStage`.
        objectness: [A, H, W] of each level, logits.
        deltas: [4 * A, H, W] of each level.
    """
    boxes, scores, levels = [], [], []
    for number, (logits, moves) in enumerate(zip(objectness, deltas, strict=True)):
        level, place = post.levels[number], post.levels[number].places
        assert isinstance(place, Grid)
        assert isinstance(level.coder, Deltas)
        worth = logits.detach().permute(1, 2, 0).flatten()
        best = worth.argsort(descending=True, stable=True)[: post.select.most]
        rows = moves.detach().reshape(-1, 4, *moves.shape[1:]).permute(2, 3, 0, 1).reshape(-1, 4)
        moved = decoded(rows[best], anchors_of(place, like=rows)[best], level.coder)
        boxes.append(clipped(moved, post.input_size))
        scores.append(worth[best].sigmoid())
        levels.append(torch.full_like(best, number))
    all_boxes, all_scores, all_levels = (torch.cat(part) for part in (boxes, scores, levels))
    fit = _large(all_boxes, post.smallest) & (all_scores > (post.select.above or -1))
    all_boxes, all_scores, all_levels = all_boxes[fit], all_scores[fit], all_levels[fit]
    assert post.suppress is not None
    kept = suppressed_by(all_boxes, all_scores, all_levels, post.suppress.overlap)
    return all_boxes[kept[: post.most]]


def found(post: PostProcess, boxes: Tensor, logits: Tensor, deltas: Tensor) -> Found:
    """Return what the second stage finds in one image.

    Args:
        post: `head` of a `TwoStage`.
        boxes: [R, 4], the proposals.
        logits: [R, classes], the background's first.
        deltas: [R, 4 * classes], from a proposal to its box of each class.
    """
    coder = post.levels[0].coder
    assert isinstance(coder, Deltas)
    assert post.suppress is not None
    rows = decoded(deltas.reshape(len(boxes), post.classes, 4), boxes[:, None], coder)
    placed = clipped(rows, post.input_size)[:, 1:].reshape(-1, 4)
    scores = logits.softmax(1)[:, 1:]
    labels = torch.arange(1, post.classes, device=logits.device).expand_as(scores).reshape(-1)
    scores = scores.reshape(-1)
    fit = (scores > (post.select.above or -1)) & _large(placed, post.smallest)
    placed, scores, labels = placed[fit], scores[fit], labels[fit]
    kept = suppressed_by(placed.detach(), scores.detach(), labels, post.suppress.overlap)
    kept = kept[: post.most]
    return {"boxes": placed[kept], "labels": labels[kept], "scores": scores[kept]}


def fasterrcnn_mobilenet_v2_fpn(
    num_classes: int = 91, *, width: float = 1.0, backbone: str = "mobilenet_v2"
) -> FasterRcnn:
    """Return a randomly initialized Faster R-CNN on MobileNetV2, with frozen norms in the body.

    The pyramid stands, as torchvision's on MobileNets, on the first block of the last stride and on
    the last layer (keys backbone.body.14, .18), both of stride 32.

    Args:
        num_classes: With the background.
        width: Multiplies the body's channel numbers; the pyramid has 256.
        backbone: "mobilenet_v2" (torchvision's: symmetric padding, batch-norm eps 1e-5, input with
            the ImageNet mean) or "mobilenet_v2_tf" (SAME padding, eps 1e-3, input RGB / 127.5 - 1).

    Raises:
        RequestError: If `width` is not a number above 0, `num_classes` no integer >= 1, or the
            backbone another.
    """
    name = "fasterrcnn_mobilenet_v2_fpn"
    check_arguments(name, width=width, num_classes=num_classes)
    mobile = body(name, backbone, known=("mobilenet_v2", "mobilenet_v2_tf"), width=width)
    pyramid = PyramidBackbone(mobile, ("14", "18"), Subsampled())
    keys = {"backbone.body.": mobile.prefix}
    return FasterRcnn(pyramid, num_classes=num_classes, regions=REGIONS, backbone_keys=keys)


def fasterrcnn_mobilenet_v3_large_fpn(num_classes: int = 91, *, width: float = 1.0) -> FasterRcnn:
    """Return a randomly initialized Faster R-CNN on MobileNetV3-Large, with frozen norms.

    Input: RGB in 0..1, minus the ImageNet mean, over its standard deviation. Trained weights of
    torchvision load as they are.

    Args:
        num_classes: With the background.
        width: Multiplies the body's channel numbers; the pyramid has 256.

    Raises:
        RequestError: If `width` is not a number above 0, or `num_classes` no integer >= 1.
    """
    name = "fasterrcnn_mobilenet_v3_large_fpn"
    return _on_mobilenet_v3(name, num_classes, width, REGIONS)


def fasterrcnn_mobilenet_v3_large_320_fpn(
    num_classes: int = 91, *, width: float = 1.0
) -> FasterRcnn:
    """Return `fasterrcnn_mobilenet_v3_large_fpn` for small images: it proposes 150 regions."""
    name = "fasterrcnn_mobilenet_v3_large_320_fpn"
    return _on_mobilenet_v3(name, num_classes, width, REGIONS_320)


def _on_mobilenet_v3(name: str, num_classes: int, width: float, regions: Limits) -> FasterRcnn:
    check_arguments(name, width=width, num_classes=num_classes)
    mobile = body(name, "mobilenet_v3_large", known=("mobilenet_v3_large",), width=width)
    pyramid = PyramidBackbone(mobile, ("13", "16"), Subsampled(), norm_eps=1e-5)
    keys = {"backbone.body.": mobile.prefix}
    return FasterRcnn(pyramid, num_classes=num_classes, regions=regions, backbone_keys=keys)


def _large(boxes: Tensor, smallest: float) -> Tensor:
    """Return which boxes [n, 4] have no side shorter than `smallest` pixels: [n] bool."""
    return ((boxes[:, 2:] - boxes[:, :2]) >= smallest).all(dim=1)


def _conv(out_channels: int, size: int, gain: float) -> nn.Conv2d:
    convolution = nn.Conv2d(CHANNELS, out_channels, size, padding=size // 2)
    initialize(convolution, gain)
    return convolution
