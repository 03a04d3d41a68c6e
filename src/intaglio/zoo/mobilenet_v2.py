"""MobileNetV2: inverted residuals with linear bottlenecks.

Source: Sandler et al. 2018, arXiv:1801.04381, table 2; keys and channel rounding of torchvision.
The quantization-friendly one: zoo/blocks.py.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from intaglio.zoo.blocks import (
    LINEAR_GAIN,
    QUANTIZATION_FRIENDLY,
    TENSORFLOW,
    ConvNorm,
    Style,
    check_arguments,
    linear,
    rounded_channels,
)

# Expansion factor t, output channels c, repeats n and first stride s of each stage, at width 1.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
SMALL_INPUT_STAGES = (STAGES[0], (6, 24, 2, 1), *STAGES[2:])


class InvertedResidual(nn.Module):
    """Expand (1x1), filter each channel (3x3), project (1x1, linear); add the input if it fits.

    Keys: conv.0 expansion (absent when `expansion` is 1), then depthwise, projection and its norm.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int,
        expansion: int,
        style: Style,
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        convention, activation = style.convention, style.activation
        layers: list[nn.Module] = []
        if expansion != 1:
            expand = style.expansion(activation)
            layers.append(expand.build(in_channels, hidden, convention=convention))
        depthwise = style.depthwise(3, stride, activation)
        layers.append(depthwise.build(hidden, hidden, convention=convention))
        # torchvision does not nest the projection: its convolution and norm are two keys of `conv`
        project = ConvNorm(1, activation=None, gain=LINEAR_GAIN)
        layers.extend(project.build(hidden, out_channels, convention=convention))
        self.conv = nn.Sequential(*layers)
        self.adds_input = stride == 1 and in_channels == out_channels

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, C_out, ceil(H / stride), ceil(W / stride)] of [N, C_in, H, W]."""
        projected: Tensor = self.conv(features)
        return features + projected if self.adds_input else projected


class MobileNetV2(nn.Module):
    """The network: images [N, 3, H, W] to logits [N, num_classes]; torchvision's key names.

    `small_input` keeps more pixels of 32x32 images: stride 1 in the first layer and the 24-channel
    stage, so that the network divides height and width by 8 instead of 32. Same keys and shapes.
    """

    def __init__(self, style: Style, *, width: float, num_classes: int, small_input: bool) -> None:
        super().__init__()
        channels = rounded_channels(32 * width)
        last_channels = rounded_channels(1280 * max(1.0, width))
        first = ConvNorm(3, stride=1 if small_input else 2, activation=style.activation)
        layers: list[nn.Module] = [first.build(3, channels, convention=style.convention)]
        for expansion, base_channels, repeats, first_stride in (
            SMALL_INPUT_STAGES if small_input else STAGES
        ):
            for index in range(repeats):
                in_channels, channels = channels, rounded_channels(base_channels * width)
                layers.append(
                    InvertedResidual(
                        in_channels,
                        channels,
                        stride=first_stride if index == 0 else 1,
                        expansion=expansion,
                        style=style,
                    )
                )
        last = ConvNorm(1, activation=style.activation)
        layers.append(last.build(channels, last_channels, convention=style.convention))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(0.2), linear(last_channels, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [N, num_classes] of `images` [N, 3, H, W]."""
        pooled = self.avgpool(self.features(images))  # [N, last_channels, 1, 1]
        logits: Tensor = self.classifier(torch.flatten(pooled, 1))
        return logits


def mobilenet_v2(
    width: float = 1.0, num_classes: int = 1000, *, small_input: bool = False
) -> MobileNetV2:
    """Return a randomly initialized MobileNetV2 as torchvision has it (batch-norm eps 1e-5).

    Raises:
        RequestError: If `width` is not a number above 0, or `num_classes` no integer >= 1.
    """
    check_arguments("mobilenet_v2", width=width, num_classes=num_classes)
    return MobileNetV2(Style(), width=width, num_classes=num_classes, small_input=small_input)


def mobilenet_v2_tf(
    width: float = 1.0, num_classes: int = 1000, *, small_input: bool = False
) -> MobileNetV2:
    """Return a randomly initialized MobileNetV2, padded as in TensorFlow, batch-norm eps 1e-3.

    For weights that were trained in TensorFlow or Keras; input RGB / 127.5 - 1.

    Raises:
        RequestError: As `mobilenet_v2`.
    """
    check_arguments("mobilenet_v2_tf", width=width, num_classes=num_classes)
    style = Style(TENSORFLOW)
    return MobileNetV2(style, width=width, num_classes=num_classes, small_input=small_input)


def qf_mobilenet_v2(
    width: float = 1.0,
    num_classes: int = 1000,
    *,
    expansion_norm: bool = True,
    small_input: bool = False,
) -> MobileNetV2:
    """Return a randomly initialized quantization-friendly MobileNetV2, padded as `mobilenet_v2`.

    A block is pointwise, batch norm, ReLU, depthwise, pointwise, batch norm; keys are those of
    `mobilenet_v2`, without the norms of depthwise convolutions.

    Args:
        width: Multiplies all channel numbers.
        num_classes: Number of logits.
        expansion_norm: Whether the first pointwise convolution of a block has a norm; else a bias.
        small_input: For images of 32x32 pixels.

    Raises:
        RequestError: As `mobilenet_v2`.
    """
    check_arguments("qf_mobilenet_v2", width=width, num_classes=num_classes)
    style = replace(QUANTIZATION_FRIENDLY, expansion_norm=expansion_norm)
    return MobileNetV2(style, width=width, num_classes=num_classes, small_input=small_input)
