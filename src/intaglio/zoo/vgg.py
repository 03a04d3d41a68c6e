"""The convolutions of VGG-16, which SSD is built on.

Source: Simonyan and Zisserman 2015, arXiv:1409.1556, table 1, column D; torchvision's key names.
"""

from __future__ import annotations

from torch import nn

from intaglio.zoo.blocks import RELU_GAIN, initialize

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and convolutions of each stage, at width 1; a pool of 2x2 pixels ends it."""


def vgg16_features(width: float = 1.0) -> nn.Sequential:
    """Return the 31 layers, randomly initialized: convolutions with bias, ReLUs and pools.

    Sizes are halved rounding down by every pool but the third, which rounds up, as SSD needs it
    (75 to 38 pixels).
    """
    layers: list[nn.Module] = []
    in_channels = 3
    for number, (base, repeats) in enumerate(STAGES, 1):
        channels = max(1, int(base * width))
        for _ in range(repeats):
            convolution = nn.Conv2d(in_channels, channels, 3, padding=1)
            initialize(convolution, RELU_GAIN)
            layers.extend((convolution, nn.ReLU()))
            in_channels = channels
        layers.append(nn.MaxPool2d(2, stride=2, ceil_mode=number == 3))
    return nn.Sequential(*layers)
