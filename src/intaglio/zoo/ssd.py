"""SSD: boxes and scores from maps of falling size, and SSD300 on VGG-16.

Source: Liu et al. 2016, arXiv:1512.02325; key names of torchvision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from intaglio.boxes import anchors, families, limits
from intaglio.boxes.limits import Limits
from intaglio.boxes.postprocess import PostProcess
from intaglio.zoo.blocks import LINEAR_GAIN, RELU_GAIN, check_arguments, initialize
from intaglio.zoo.bodies import channels_of
from intaglio.zoo.vgg import vgg16_features

Maps = tuple[Tensor, ...]
Predictor = Callable[[int, int], nn.Module]
"""Makes, of channels in and out, what predicts the numbers of one map."""

CONV4_3, CONV5_3 = 23, 30
"""Where VGG-16 is cut: behind the ReLU of each, in front of the pool."""
SMALLEST_NORM = 1e-12  # a cell of zeros stays zeros
INITIAL_SCALE = 20.0  # of conv4_3's channels, whose norm over a cell is made 1: section 3.1


@dataclass(frozen=True)
class Boxes:
    """Which default boxes the maps have, and which boxes are kept.

    Attributes:
        ratios: Width to height, > 1, of each level: see `boxes.anchors.default_boxes`.
        limits: What is kept.
        scales: Parts of the input's sides, one a level and one more; None for even ones.
        steps: Pixels from cell to cell; None where the cells of a map fill the input.
    """

    ratios: tuple[tuple[float, ...], ...]
    limits: Limits
    scales: tuple[float, ...] | None = None
    steps: tuple[int, ...] | None = None

    @property
    def of_a_cell(self) -> tuple[int, ...]:
        """Default boxes of a cell, of each level."""
        return tuple(2 + 2 * len(ratios) for ratios in self.ratios)


SSD300 = Boxes(anchors.SSD300_RATIOS, limits.SSD, anchors.SSD300_SCALES, anchors.SSD300_STEPS)


class MapsBackbone(nn.Module):
    """What makes the maps: images [N, 3, H, W] to a tuple of them, the finest first."""

    out_channels: tuple[int, ...]

    def map_sizes(self, input_size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """Return height and width of each map of images of `input_size`."""
        raise NotImplementedError


class LevelHeads(nn.Module):
    """One predictor a map. Keys: module_list.k."""

    def __init__(self, predictors: Sequence[nn.Module]) -> None:
        super().__init__()
        self.module_list = nn.ModuleList(predictors)

    def forward(self, maps: Maps) -> Maps:
        """Return [N, A * k, H, W] of each map [N, C, H, W]."""
        return tuple(head(one) for head, one in zip(self.module_list, maps, strict=True))


class SsdHead(nn.Module):
    """The numbers of all boxes. Keys: classification_head, regression_head."""

    def __init__(
        self,
        channels: Sequence[int],
        of_a_cell: Sequence[int],
        *,
        num_classes: int,
        predictor: Predictor,
    ) -> None:
        super().__init__()
        sizes = tuple(zip(channels, of_a_cell, strict=True))
        self.classification_head = LevelHeads([predictor(c, n * num_classes) for c, n in sizes])
        self.regression_head = LevelHeads([predictor(c, n * 4) for c, n in sizes])

    def forward(self, maps: Maps) -> Maps:
        """Return the maps of box numbers, then those of class scores."""
        return (*self.regression_head(maps), *self.classification_head(maps))


class Ssd(nn.Module):
    """The network: images [N, 3, H, W] to maps of box numbers, then maps of class scores.

    Of each level [N, A * 4, H, W] and [N, A * num_classes, H, W], all numbers of a cell's first
    default box first; scores are logits, the background's first. Keys: backbone, head.

    Attributes:
        boxes: Default boxes, and which are kept.
        num_classes: With the background.
        backbone_keys: Where a classifier's weights go: see `bodies.load_backbone`.
    """

    def __init__(
        self,
        backbone: MapsBackbone,
        head: SsdHead,
        boxes: Boxes,
        *,
        num_classes: int,
        backbone_keys: Mapping[str, str],
    ) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.boxes, self.num_classes, self.backbone_keys = boxes, num_classes, backbone_keys

    def forward(self, images: Tensor) -> Maps:
        """Return the raw numbers of `images`: no softmax, nothing concatenated."""
        maps: Maps = self.head(self.backbone(images))
        return maps

    def postprocess(self, input_size: tuple[int, int]) -> PostProcess:
        """Return what the raw numbers of images of `input_size` (height, width) mean.

        Raises:
            ValueError: If the images are too small to have all maps.
        """
        places = anchors.default_boxes(
            input_size,
            self.backbone.map_sizes(input_size),
            ratios=self.boxes.ratios,
            scales=self.boxes.scales,
            steps=self.boxes.steps,
        )
        return families.ssd(input_size, places, classes=self.num_classes, limits=self.boxes.limits)


class VggMaps(MapsBackbone):
    """VGG-16 and four further stages: images to six maps. Keys: scale_weight, features, extra.

    The norm of each cell of the first map (conv4_3) over its channels is made 1, times a weight a
    channel; Liu et al. 2015, arXiv:1506.04579. The fully connected layers of VGG are convolutions,
    the first of them dilated.
    """

    def __init__(self, width: float) -> None:
        super().__init__()
        layers = list(vgg16_features(width))
        channels = channels_of(layers[CONV4_3 - 2])
        inner, outer, narrow = (max(1, int(base * width)) for base in (1024, 512, 256))
        self.scale_weight = nn.Parameter(torch.full((channels,), INITIAL_SCALE))
        self.features = nn.Sequential(*layers[:CONV4_3])
        classifier = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1),
            _conv(channels, inner, 3, padding=6, dilation=6),
            nn.ReLU(),
            _conv(inner, inner, 1),
            nn.ReLU(),
        )
        self.extra = nn.ModuleList(
            (
                nn.Sequential(*layers[CONV4_3:CONV5_3], classifier),
                _further(inner, outer, stride=2, padding=1),
                _further(outer, narrow, stride=2, padding=1),
                _further(narrow, narrow, stride=1, padding=0),
                _further(narrow, narrow, stride=1, padding=0),
            )
        )
        self.out_channels = (channels, inner, outer, narrow, narrow, narrow)

    def forward(self, images: Tensor) -> Maps:
        """Return six maps of `images` [N, 3, H, W], the finest (H / 8, W / 8) first."""
        features = self.features(images)
        maps = [self.scale_weight.view(1, -1, 1, 1) * _normalized(features)]
        for stage in self.extra:
            features = stage(features)
            maps.append(features)
        return tuple(maps)

    def map_sizes(self, input_size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """Return height and width of each map: 300 pixels make 38, 19, 10, 5, 3, 1."""
        sides = [_sides(side) for side in input_size]
        return tuple(zip(*sides, strict=True))


def ssd300_vgg16(num_classes: int = 91, *, width: float = 1.0) -> Ssd:
    """Return a randomly initialized SSD300 for 300 x 300 pixels: six maps, 8732 boxes.

    Input: (RGB - (0.48235, 0.45882, 0.40784)) * 255 of RGB in 0..1. Trained weights of torchvision
    load as they are; a classifier's go in by `load_backbone`.

    Args:
        num_classes: With the background.
        width: Multiplies all channel numbers but those of the heads.

    Raises:
        RequestError: If `width` is not a number above 0, or `num_classes` no integer >= 1.
    """
    check_arguments("ssd300_vgg16", width=width, num_classes=num_classes)
    backbone = VggMaps(width)
    head = SsdHead(
        backbone.out_channels,
        SSD300.of_a_cell,
        num_classes=num_classes,
        predictor=lambda channels, numbers: _conv(channels, numbers, 3, gain=LINEAR_GAIN),
    )
    keys = {"backbone.features.": "features."}
    keys |= {
        f"backbone.extra.0.{index - CONV4_3}.": f"features.{index}."
        for index in range(CONV4_3, CONV5_3)
    }
    return Ssd(backbone, head, SSD300, num_classes=num_classes, backbone_keys=keys)


def _normalized(features: Tensor) -> Tensor:
    """Return [N, C, H, W], each cell over its norm; F.normalize, in words that integers have."""
    squares = (features * features).mean(dim=1, keepdim=True) * features.shape[1]
    return features / squares.sqrt().clamp(min=SMALLEST_NORM)


def _sides(side: int) -> tuple[int, ...]:
    first = -(-(side // 4) // 2)  # the third pool rounds up
    second = first // 2
    third = -(-second // 2)
    fourth = -(-third // 2)
    return first, second, third, fourth, fourth - 2, fourth - 4


def _further(in_channels: int, out_channels: int, *, stride: int, padding: int) -> nn.Sequential:
    """Return a 1x1 convolution to half of the channels and a 3x3 one, with ReLUs."""
    half = max(1, out_channels // 2)
    last = _conv(half, out_channels, 3, stride=stride, padding=padding)
    return nn.Sequential(_conv(in_channels, half, 1), nn.ReLU(), last, nn.ReLU())


def _conv(
    in_channels: int,
    out_channels: int,
    size: int,
    *,
    stride: int = 1,
    padding: int | None = None,
    dilation: int = 1,
    gain: float = RELU_GAIN,
) -> nn.Conv2d:
    convolution = nn.Conv2d(
        in_channels,
        out_channels,
        size,
        stride=stride,
        padding=size // 2 if padding is None else padding,
        dilation=dilation,
    )
    initialize(convolution, gain)
    return convolution
