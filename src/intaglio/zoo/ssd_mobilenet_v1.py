"""SSD on MobileNetV1, as TensorFlow's object detection API builds it for 300 x 300 pixels.

Sources: Liu et al. 2016, arXiv:1512.02325; Huang et al. 2017, arXiv:1611.10012; MobileNetV1:
zoo/mobilenet_v1.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from intaglio.boxes import anchors, families
from intaglio.boxes.heads import per_level
from intaglio.boxes.postprocess import PostProcess
from intaglio.errors import RequestError
from intaglio.zoo.blocks import LINEAR_GAIN, TENSORFLOW, ConvNorm, check_arguments
from intaglio.zoo.mobilenet_v1 import SEPARABLE_LAYERS

# Channels of the 1x1 and of the 3x3 convolution of the four levels behind MobileNetV1, at width 1.
EXTRA_LAYERS = ((256, 512), (128, 256), (128, 256), (64, 128))
SOURCES = (11, 13)
"""Of `features`: the layers that the first two levels see."""
STRIDES = (16, 32, 64, 128, 256, 512)
"""Of the levels, in pixels; each map has ceil(side / stride) cells."""
BOXES = (3, 6, 6, 6, 6, 6)
"""Boxes of one cell, level by level."""
BOX_ENDS = (
    (-15.0944, 5.0578),
    (-4.341, 3.6804),
    (-3.6896, 3.7774),
    (-3.4564, 3.5387),
    (-2.8505, 2.4167),
    (-3.0479, 2.0654),
)
SCORE_ENDS = (
    (-11.0944, 1.2059),
    (-8.9032, 1.6075),
    (-7.7195, 1.5222),
    (-7.6626, 1.4256),
    (-6.1492, 0.7891),
    (-5.9342, 1.1369),
)
"""Within which the predictions of each level lie in the public file, trained with these ends; a
network that is built folded has them too."""


class SsdMobileNetV1(nn.Module):
    """The network: images [N, 3, H, W] to box encodings and class scores of all boxes.

    Keys: features as in `MobileNetV1`, extras.k.{0,1}.{0,1} the two convolutions of level k + 2,
    boxes.k and scores.k the predictions of level k = 0..5. With `batch_norm` False no layer has a
    norm (the last `1`), and each convolution a bias: what folding leaves.
    """

    def __init__(self, *, width: float, num_classes: int, batch_norm: bool) -> None:
        super().__init__()
        channels = int(width * 32)
        if channels < 1:
            raise RequestError(
                f"ssd_mobilenet_v1: width {width!r} leaves the first layer no channel"
            )
        self.num_classes = num_classes
        layers = [_layer(3, channels, kernel_size=3, stride=2, batch_norm=batch_norm)]
        for base_channels, stride in SEPARABLE_LAYERS:
            in_channels, channels = channels, int(width * base_channels)
            depthwise = _layer(
                in_channels,
                in_channels,
                kernel_size=3,
                stride=stride,
                depthwise=True,
                batch_norm=batch_norm,
            )
            pointwise = _layer(in_channels, channels, batch_norm=batch_norm)
            layers.append(nn.Sequential(depthwise, pointwise))
        self.features = nn.Sequential(*layers)
        sources = [int(width * SEPARABLE_LAYERS[index - 1][0]) for index in SOURCES]
        extras = []
        for narrow, wide in EXTRA_LAYERS:
            hidden, channels = int(width * narrow), int(width * wide)
            first = _layer(sources[-1], hidden, batch_norm=batch_norm)
            last = _layer(hidden, channels, kernel_size=3, stride=2, batch_norm=batch_norm)
            extras.append(nn.Sequential(first, last))
            sources.append(channels)
        self.extras = nn.ModuleList(extras)
        self.boxes = nn.ModuleList(map(_prediction, sources, [4 * count for count in BOXES]))
        self.scores = nn.ModuleList(
            map(_prediction, sources, [num_classes * count for count in BOXES])
        )
        self.box_ends = nn.ModuleList(_ends(BOX_ENDS, batch_norm=batch_norm))
        self.score_ends = nn.ModuleList(_ends(SCORE_ENDS, batch_norm=batch_norm))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the boxes of all levels, then their scores, of `images` [N, 3, H, W].

        As the predictions give them, [N, A * 4, H, W] and [N, A * num_classes, H, W]: each level's
        boxes and scores have a grid of their own. A box is (y, x, h, w) as the graph has it, times
        10, 10, 5, 5 of what it encodes; a score is in front of the graph's sigmoid, class 0 the
        background. At 300 x 300 pixels these are 1917 boxes.
        """
        levels = [self.features[: SOURCES[0] + 1](images)]
        levels.append(self.features[SOURCES[0] + 1 :](levels[0]))
        for extra in self.extras:
            levels.append(extra(levels[-1]))
        boxes = zip(self.boxes, self.box_ends, levels, strict=True)
        scores = zip(self.scores, self.score_ends, levels, strict=True)
        return tuple(ends(head(level)) for head, ends, level in (*boxes, *scores))

    def postprocess(self, input_size: tuple[int, int]) -> PostProcess:
        """Return what the outputs of images of `input_size` (height, width) mean.

        The boxes' places and sizes are those of the formula; a TensorFlow Lite file has the same in
        steps of 0.0065 of the picture's side, which costs 0.3 points of AP on COCO128.

        Raises:
            ValueError: If a side is below 1 pixel.
        """
        maps = anchors.map_sizes(input_size, STRIDES)
        places = anchors.tf_default_boxes(input_size, maps)
        return families.tf_ssd(
            input_size, places, classes=self.num_classes, heads=per_level(len(places))
        )


def ssd_mobilenet_v1(
    width: float = 0.75, num_classes: int = 91, *, batch_norm: bool = False
) -> SsdMobileNetV1:
    """Return a randomly initialized SSD on MobileNetV1, padded as in TensorFlow; RGB / 127.5 - 1.

    Args:
        width: Multiplies all channel numbers, rounded down, but those of the predictions.
        num_classes: With the background, class 0.
        batch_norm: Whether there are batch norms (eps 1e-3); else biases in their place.

    Raises:
        RequestError: If `width` is not a number above 0 that leaves each layer a channel, or
            `num_classes` no integer >= 1.
    """
    check_arguments("ssd_mobilenet_v1", width=width, num_classes=num_classes)
    return SsdMobileNetV1(width=width, num_classes=num_classes, batch_norm=batch_norm)


def _layer(
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int = 1,
    stride: int = 1,
    depthwise: bool = False,
    batch_norm: bool,
) -> nn.Sequential:
    """Return convolution, norm and ReLU6: keys 0 and 1."""
    layer = ConvNorm(kernel_size, stride, depthwise, norm=batch_norm, bias=not batch_norm)
    return layer.build(in_channels, out_channels, convention=TENSORFLOW)


def _ends(levels: Sequence[tuple[float, float]], *, batch_norm: bool) -> list[nn.Module]:
    """Return what holds each level's predictions within its ends; nothing with batch norms."""
    return [nn.Identity() if batch_norm else nn.Hardtanh(*ends) for ends in levels]


def _prediction(in_channels: int, out_channels: int) -> nn.Conv2d:
    layer = ConvNorm(1, gain=LINEAR_GAIN, bias=True)
    return layer.convolution(in_channels, out_channels, convention=TENSORFLOW)
