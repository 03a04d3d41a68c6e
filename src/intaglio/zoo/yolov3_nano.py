"""YOLOv3-Nano: two YOLOv3 heads on a MobileNetV2 of half width, with ReLU.

Source of the structure: dog-qiuqiu/MobileNet-Yolo, MobileNetV2-YOLOv3-Nano for COCO (a darknet
configuration); YOLOv3: Redmon, Farhadi 2018, arXiv:1804.02767; MobileNetV2: zoo/mobilenet_v2.py;
the pooling pyramid: Huang, Wang 2019, arXiv:1903.08589.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intaglio.boxes import anchors, yolo
from intaglio.boxes.postprocess import PostProcess
from intaglio.errors import RequestError
from intaglio.zoo.blocks import LINEAR_GAIN, PYTORCH, ConvNorm, check_arguments

# Expansion factor t, output channels c, repeats n and first stride s of each stage, at width 1.
STAGES = (
    (1, 8, 1, 1),
    (6, 12, 2, 2),
    (6, 16, 3, 2),
    (6, 32, 4, 2),
    (6, 48, 3, 1),
    (6, 80, 3, 2),
)
STEM_CHANNELS = 16
FINE_LAYER = 14
"""Of `features`: the first of stride 32; its expansion is what the fine head sees."""
POOLS = (9, 5, 3)
"""Windows of the pooling pyramid, in cells, in the order of their channels."""

STRIDES = (32, 16)
"""Of the two heads, in pixels."""
ANCHORS = (((115, 74), (119, 199), (243, 238)), ((12, 18), (37, 49), (52, 132)))
"""Width and height in pixels, whatever the input's size, of each head's boxes of one cell."""
STRETCHES = (1.1, 1.05)
"""Darknet's scale_x_y of each head."""
BOXES = 3
"""Of one cell of a head."""


class Bottleneck(nn.Module):
    """Expand (1x1), filter each channel (3x3), project (1x1, linear); add the input if it fits.

    Keys: expand.{0,1} (absent when `expansion` is 1), depthwise.{0,1}, project.{0,1}.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int,
        expansion: int,
        batch_norm: bool,
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand: nn.Module = nn.Identity()
        if expansion != 1:
            self.expand = _layer(in_channels, hidden, batch_norm=batch_norm)
        self.depthwise = _layer(
            hidden, hidden, kernel_size=3, stride=stride, depthwise=True, batch_norm=batch_norm
        )
        self.project = _layer(hidden, out_channels, linear=True, batch_norm=batch_norm)
        self.adds_input = stride == 1 and in_channels == out_channels

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, C_out, ceil(H / stride), ceil(W / stride)] of [N, C_in, H, W]."""
        projected: Tensor = self.project(self.depthwise(self.expand(features)))
        return features + projected if self.adds_input else projected


class YoloV3Nano(nn.Module):
    """The network: images [N, 3, H, W], multiples of 32 pixels, to the maps of two heads.

    Keys: features.0.{0,1} first convolution and norm, features.k bottleneck k = 1..16,
    coarse_neck.{0,1} behind the pooling pyramid, coarse.{0,1,2}.{0,1} and coarse.3 the head of
    stride 32, fine_neck and fine.{0,1,2,3} that of stride 16. With `batch_norm` False no layer has
    a norm (`1`), and each convolution a bias: what folding leaves.
    """

    def __init__(self, *, width: float, num_classes: int, batch_norm: bool) -> None:
        super().__init__()
        if int(width * STAGES[0][1]) < 1:
            raise RequestError(
                f"yolov3_nano_mobilenet_v2: width {width!r} leaves the first block no channel"
            )
        self.num_classes = num_classes
        self.features = nn.Sequential(*_features(width, batch_norm=batch_norm))
        channels = int(width * STAGES[-1][1])
        fine_channels = 6 * int(width * STAGES[4][1])
        hidden, outputs = int(width * 288), BOXES * (5 + num_classes)
        pyramid_channels = (len(POOLS) + 1) * channels
        self.coarse_neck = _layer(pyramid_channels, hidden, batch_norm=batch_norm)
        self.coarse = _head(hidden, int(width * 96), int(width * 384), outputs, batch_norm)
        self.fine_neck = nn.Sequential(
            _layer(hidden + fine_channels, int(width * 80), batch_norm=batch_norm),
            _layer(int(width * 80), hidden, batch_norm=batch_norm),
        )
        self.fine = _head(hidden, int(width * 192), hidden, outputs, batch_norm)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two maps, that of stride 32 first, of `images` [N, 3, H, W].

        Each [N, 3 * (5 + num_classes), H / stride, W / stride]: for each of a cell's anchors x, y,
        w, h, objectness and the classes, nothing of it through a sigmoid or exp yet.
        """
        features = self.features[:FINE_LAYER](images)
        block = self.features[FINE_LAYER]
        assert isinstance(block, Bottleneck)
        wide = block.expand(features)  # [N, C, H / 16, W / 16]
        features = block.project(block.depthwise(wide))
        features = self.features[FINE_LAYER + 1 :](features)  # [N, C, H / 32, W / 32]
        pooled = [F.max_pool2d(features, size, 1, size // 2) for size in POOLS]
        coarse = self.coarse_neck(torch.cat([*pooled, features], 1))
        enlarged = F.interpolate(coarse, scale_factor=2.0, mode="nearest")
        fine = self.fine_neck(torch.cat([enlarged, wide], 1))
        return self.coarse(coarse), self.fine(fine)

    def postprocess(self, input_size: tuple[int, int]) -> PostProcess:
        """Return what the maps of images of `input_size` (height, width) mean: 1500 boxes at 320.

        Raises:
            ValueError: If a side is below 1 pixel.
        """
        return yolo.yolov3(
            input_size,
            anchors.yolo_grids(input_size, STRIDES, ANCHORS),
            classes=self.num_classes,
            stretches=STRETCHES,
        )


def yolov3_nano_mobilenet_v2(
    width: float = 1.0, num_classes: int = 80, *, batch_norm: bool = True
) -> YoloV3Nano:
    """Return a randomly initialized YOLOv3-Nano; input RGB / 255.

    Args:
        width: Multiplies all channel numbers, rounded down, but those of the predictions.
        num_classes: Of objects; there is no background class.
        batch_norm: Whether there are batch norms (eps 1e-5); else biases in their place.

    Raises:
        RequestError: If `width` is not a number above 0 that leaves each layer a channel, or
            `num_classes` no integer >= 1.
    """
    check_arguments("yolov3_nano_mobilenet_v2", width=width, num_classes=num_classes)
    return YoloV3Nano(width=width, num_classes=num_classes, batch_norm=batch_norm)


def _features(width: float, *, batch_norm: bool) -> Iterator[nn.Module]:
    """Yield the first convolution and the bottlenecks."""
    channels = int(width * STEM_CHANNELS)
    yield _layer(3, channels, kernel_size=3, stride=2, batch_norm=batch_norm)
    for expansion, base_channels, repeats, first_stride in STAGES:
        for index in range(repeats):
            in_channels, channels = channels, int(width * base_channels)
            yield Bottleneck(
                in_channels,
                channels,
                stride=first_stride if index == 0 else 1,
                expansion=expansion,
                batch_norm=batch_norm,
            )


def _layer(
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int = 1,
    stride: int = 1,
    depthwise: bool = False,
    linear: bool = False,
    batch_norm: bool,
) -> nn.Sequential:
    """Return convolution, norm and ReLU: keys 0 and 1."""
    layer = ConvNorm(
        kernel_size,
        stride,
        depthwise,
        None if linear else nn.ReLU,
        norm=batch_norm,
        bias=not batch_norm,
    )
    return layer.build(in_channels, out_channels, convention=PYTORCH)


def _head(channels: int, narrow: int, wide: int, outputs: int, batch_norm: bool) -> nn.Sequential:
    """Return filter (3x3), 1x1 to `narrow`, 1x1 to `wide` channels, and the prediction."""
    prediction = ConvNorm(1, gain=LINEAR_GAIN, bias=True)
    return nn.Sequential(
        _layer(channels, channels, kernel_size=3, depthwise=True, batch_norm=batch_norm),
        _layer(channels, narrow, batch_norm=batch_norm),
        _layer(narrow, wide, batch_norm=batch_norm),
        prediction.convolution(wide, outputs, convention=PYTORCH),
    )
