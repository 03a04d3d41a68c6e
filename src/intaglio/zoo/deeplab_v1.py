"""DeepLab's first segmenter, with a large field of view: VGG-16 whose last strides are holes.

Source: Chen et al. 2015, arXiv:1412.7062, sections 3.1 and 4.3 (DeepLab-LargeFOV, without its dense
CRF, which works on pictures and not in the network: tasks/crf). The first three pools are those of
VGG-16, 2x2 pixels; key names of torchvision's VGG-16 in `features`.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from intaglio.maps.postprocess import MapPostProcess
from intaglio.zoo.blocks import LINEAR_GAIN, RELU_GAIN, check_arguments, initialize
from intaglio.zoo.bodies import channels_of
from intaglio.zoo.map_ends import enlarged, scored_classes
from intaglio.zoo.vgg import vgg16_features

POOLS = (23, 30)
"""Where VGG-16 has its fourth and its fifth pool."""
CONV5 = (24, 26, 28)
CONV5_RATE, FC6_RATE = 2, 12
HIDDEN = 1024
"""Channels of fc6 and fc7; VGG-16 has 4096 features."""


class DeepLabV1(nn.Module):
    """The network: images [N, 3, H, W] to logits [N, num_classes, H, W].

    Logits are made at an eighth of the size and enlarged bilinearly. Keys: features, fc6, fc7, fc8.

    Attributes:
        num_classes: With the background, where there is one.
        backbone_keys: Where a classifier's weights go: see `bodies.load_backbone`.
    """

    def __init__(self, *, width: float, num_classes: int) -> None:
        super().__init__()
        self.features = _atrous_features(width)
        channels, hidden = channels_of(self.features), max(1, int(HIDDEN * width))
        self.fc6 = _conv(channels, hidden, 3, rate=FC6_RATE)
        self.fc7 = _conv(hidden, hidden, 1)
        self.fc8 = _conv(hidden, num_classes, 1, gain=LINEAR_GAIN)
        self.relu, self.dropout = nn.ReLU(), nn.Dropout(0.5)
        self.num_classes = num_classes
        self.backbone_keys: Mapping[str, str] = {"features.": "features."}

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [N, num_classes, H, W] of `images` [N, 3, H, W]."""
        features = self.features(images)  # [N, C, ceil(H / 8), ceil(W / 8)] or one less a side
        for layer in (self.fc6, self.fc7):
            features = self.dropout(self.relu(layer(features)))
        return enlarged(self.fc8(features), images)

    def postprocess(self, input_size: tuple[int, int]) -> MapPostProcess:
        """Return what the logits of images of `input_size` (height, width) mean."""
        return scored_classes(self.num_classes)


def deeplab_v1_largefov_vgg16(num_classes: int = 21, *, width: float = 1.0) -> DeepLabV1:
    """Return a randomly initialized DeepLab-LargeFOV on VGG-16.

    Input: RGB in 0..1, minus the ImageNet mean, over its standard deviation, as torchvision's
    VGG-16 has it, whose weights go in by `load_backbone`.

    Args:
        num_classes: With the background.
        width: Multiplies all channel numbers.

    Raises:
        RequestError: If `width` is not a number above 0, or `num_classes` no integer >= 1.
    """
    check_arguments("deeplab_v1_largefov_vgg16", width=width, num_classes=num_classes)
    return DeepLabV1(width=width, num_classes=num_classes)


def _atrous_features(width: float) -> nn.Sequential:
    """Return VGG-16's layers; pools of 3x3 pixels and stride 1 in the place of the last two."""
    features = vgg16_features(width)
    for index in POOLS:
        features[index] = nn.MaxPool2d(3, stride=1, padding=1)
    for index in CONV5:
        convolution = features[index]
        assert isinstance(convolution, nn.Conv2d)
        convolution.dilation = convolution.padding = (CONV5_RATE, CONV5_RATE)
    return features


def _conv(
    in_channels: int, out_channels: int, size: int, *, rate: int = 1, gain: float = RELU_GAIN
) -> nn.Conv2d:
    padding = rate * (size // 2)
    convolution = nn.Conv2d(in_channels, out_channels, size, padding=padding, dilation=rate)
    initialize(convolution, gain)
    return convolution
