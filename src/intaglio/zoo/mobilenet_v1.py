"""MobileNetV1: a plain chain of depthwise-separable convolutions.

Source: Howard et al. 2017, arXiv:1704.04861, table 1. Width gives int(width * channels).
The quantization-friendly one: zoo/blocks.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intaglio.errors import RequestError
from intaglio.zoo.blocks import (
    QUANTIZATION_FRIENDLY,
    TENSORFLOW,
    ConvNorm,
    Style,
    check_arguments,
    linear,
)

# Output channels and depthwise stride of the 13 separable layers, at width 1.
SEPARABLE_LAYERS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)
SMALL_INPUT_LAYERS = (SEPARABLE_LAYERS[0], (128, 1), *SEPARABLE_LAYERS[2:])


class MobileNetV1(nn.Module):
    """The network: images [N, 3, H, W] to logits [N, num_classes].

    Keys: features.0.{0,1} first convolution and norm, features.k.0.{0,1} depthwise and
    features.k.1.{0,1} pointwise of layer k = 1..13, classifier.

    `small_input` keeps more pixels of 32x32 images: stride 1 in the first layer and the first
    128-channel layer, so that the network divides height and width by 8 instead of 32. Same keys
    and shapes.
    """

    def __init__(self, style: Style, *, width: float, num_classes: int, small_input: bool) -> None:
        super().__init__()
        channels = int(width * 32)
        if channels < 1:
            raise RequestError(f"mobilenet_v1: width {width!r} leaves the first layer no channel")
        convention, activation = style.convention, style.activation
        first = ConvNorm(3, stride=1 if small_input else 2, activation=activation)
        pointwise = ConvNorm(1, activation=activation)
        layers = [first.build(3, channels, convention=convention)]
        for base_channels, stride in SMALL_INPUT_LAYERS if small_input else SEPARABLE_LAYERS:
            in_channels, channels = channels, int(width * base_channels)
            depthwise = style.depthwise(3, stride, activation)
            layers.append(
                nn.Sequential(
                    depthwise.build(in_channels, in_channels, convention=convention),
                    pointwise.build(in_channels, channels, convention=convention),
                )
            )
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = linear(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [N, num_classes] of `images` [N, 3, H, W]."""
        pooled = self.avgpool(self.features(images))  # [N, C, 1, 1]
        logits: Tensor = self.classifier(torch.flatten(pooled, 1))
        return logits


def mobilenet_v1(
    width: float = 1.0, num_classes: int = 1000, *, small_input: bool = False
) -> MobileNetV1:
    """Return a randomly initialized MobileNetV1 with symmetric padding and batch-norm eps 1e-5.

    Raises:
        RequestError: If `width` is not a number above 0, or `num_classes` no integer >= 1.
    """
    check_arguments("mobilenet_v1", width=width, num_classes=num_classes)
    return MobileNetV1(Style(), width=width, num_classes=num_classes, small_input=small_input)


def mobilenet_v1_tf(
    width: float = 1.0, num_classes: int = 1000, *, small_input: bool = False
) -> MobileNetV1:
    """Return a randomly initialized MobileNetV1, padded as in TensorFlow, batch-norm eps 1e-3.

    For weights that were trained in TensorFlow or Keras; input RGB / 127.5 - 1.

    Raises:
        RequestError: As `mobilenet_v1`.
    """
    check_arguments("mobilenet_v1_tf", width=width, num_classes=num_classes)
    style = Style(TENSORFLOW)
    return MobileNetV1(style, width=width, num_classes=num_classes, small_input=small_input)


def qf_mobilenet_v1(
    width: float = 1.0, num_classes: int = 1000, *, small_input: bool = False
) -> MobileNetV1:
    """Return a randomly initialized quantization-friendly MobileNetV1, padded as `mobilenet_v1`.

    A layer is depthwise, pointwise, batch norm, ReLU; keys are those of `mobilenet_v1`, without
    features.k.0.1.

    Raises:
        RequestError: As `mobilenet_v1`.
    """
    check_arguments("qf_mobilenet_v1", width=width, num_classes=num_classes)
    return MobileNetV1(
        QUANTIZATION_FRIENDLY, width=width, num_classes=num_classes, small_input=small_input
    )
