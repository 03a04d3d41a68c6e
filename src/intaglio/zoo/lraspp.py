"""LR-ASPP: a small segmenter's head on MobileNetV3, of a coarse map and a finer one.

Source: Howard et al. 2019, arXiv:1905.02244, section 6.4 and figure 10; key names of torchvision,
which has the mean of the whole coarse map where the paper has one of 49x49 pixels.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from intaglio.maps.postprocess import MapPostProcess
from intaglio.zoo.atrous import make_atrous
from intaglio.zoo.blocks import (
    LINEAR_GAIN,
    RELU_GAIN,
    check_arguments,
    initialize,
    rounded_channels,
)
from intaglio.zoo.bodies import Body, body, channels_of
from intaglio.zoo.fpn import TappedBody
from intaglio.zoo.map_ends import enlarged, scored_classes

FINE, COARSE = "4", "16"
"""Layers of the body: the first of stride 8, and the last one."""
OUTPUT_STRIDE = 16
CHANNELS = 128


class LrasppHead(nn.Module):
    """Logits of two maps. Keys: cbr, scale.1, low_classifier, high_classifier.

    The coarse map by a 1x1 convolution with norm and ReLU, each channel times a gate in 0..1 that
    is made of the map's means; enlarged, a class score of it and one of the fine map are added.
    """

    def __init__(self, low: int, high: int, *, num_classes: int, channels: int) -> None:
        super().__init__()
        self.cbr = nn.Sequential(
            _pointwise(high, channels, RELU_GAIN, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            _pointwise(high, channels, LINEAR_GAIN, bias=False),
            nn.Sigmoid(),
        )
        self.low_classifier = _pointwise(low, num_classes, LINEAR_GAIN)
        self.high_classifier = _pointwise(channels, num_classes, LINEAR_GAIN)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Return [N, num_classes, H, W] of `low` [N, C, H, W] and the coarser `high`."""
        gated = self.cbr(high) * self.scale(high)
        coarse = enlarged(gated, low)
        logits: Tensor = self.low_classifier(low) + self.high_classifier(coarse)
        return logits


class Lraspp(nn.Module):
    """The network: images [N, 3, H, W] to logits [N, num_classes, H, W].

    torchvision's network returns {"out": logits}. Keys: backbone, classifier.

    Attributes:
        num_classes: With the background, where there is one.
        backbone_keys: Where a classifier's weights go: see `bodies.load_backbone`.
    """

    def __init__(self, layers: Body, *, num_classes: int, channels: int) -> None:
        super().__init__()
        self.backbone = TappedBody(layers.layers, (FINE, COARSE))
        low, high = channels_of(layers.layers[FINE]), channels_of(layers.layers[COARSE])
        self.classifier = LrasppHead(low, high, num_classes=num_classes, channels=channels)
        self.num_classes = num_classes
        self.backbone_keys: Mapping[str, str] = {"backbone.": layers.prefix}

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [N, num_classes, H, W] of `images` [N, 3, H, W]."""
        low, high = self.backbone(images)
        return enlarged(self.classifier(low, high), images)

    def postprocess(self, input_size: tuple[int, int]) -> MapPostProcess:
        """Return what the logits of images of `input_size` (height, width) mean."""
        return scored_classes(self.num_classes)


def lraspp_mobilenet_v3_large(num_classes: int = 21, *, width: float = 1.0) -> Lraspp:
    """Return a randomly initialized LR-ASPP on MobileNetV3-Large, at output stride 16.

    Input: RGB in 0..1, minus the ImageNet mean, over its standard deviation. Trained weights of
    torchvision load as they are; a classifier's go in by `load_backbone`.

    Args:
        num_classes: With the background.
        width: Multiplies all channel numbers, the head's 128 too (rounded to eights).

    Raises:
        RequestError: If `width` is not a number above 0, or `num_classes` no integer >= 1.
    """
    name = "lraspp_mobilenet_v3_large"
    check_arguments(name, width=width, num_classes=num_classes)
    mobile = body(name, "mobilenet_v3_large", known=("mobilenet_v3_large",), width=width)
    make_atrous(mobile.layers.values(), OUTPUT_STRIDE, network=name, at_once=True)
    channels = rounded_channels(CHANNELS * width)
    return Lraspp(mobile, num_classes=num_classes, channels=channels)


def _pointwise(in_channels: int, out_channels: int, gain: float, *, bias: bool = True) -> nn.Conv2d:
    convolution = nn.Conv2d(in_channels, out_channels, 1, bias=bias)
    initialize(convolution, gain)
    return convolution
