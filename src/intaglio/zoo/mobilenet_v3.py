"""MobileNetV3, large and small: inverted residuals with squeeze-excite and hard-swish.

Source: Howard et al. 2019, arXiv:1905.02244, tables 1 and 2; key names, channel rounding and
batch-norm constants of torchvision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from intaglio.zoo.blocks import (
    LINEAR_GAIN,
    RELU_GAIN,
    Convention,
    ConvNorm,
    check_arguments,
    initialize,
    linear,
    rounded_channels,
)

CONVENTION = Convention(norm_eps=1e-3, norm_momentum=0.01)
GATED_GAIN = 2 * LINEAR_GAIN  # behind an untrained squeeze-excite, whose gates are half open


@dataclass(frozen=True)
class Row:
    """One line of the paper's tables, at width 1.

    Attributes:
        kernel_size: Height and width of the depthwise kernel, in pixels.
        expanded, out: Channels inside and behind the block.
        squeeze: Whether the block has squeeze-excite.
        hard_swish: Hard-swish instead of ReLU.
        stride: Of the depthwise convolution, in pixels.
    """

    kernel_size: int
    expanded: int
    out: int
    squeeze: bool
    hard_swish: bool
    stride: int

    def scaled(self, width: float) -> Row:
        """Return the row with both channel numbers multiplied by `width` and rounded."""
        return Row(
            self.kernel_size,
            rounded_channels(self.expanded * width),
            rounded_channels(self.out * width),
            self.squeeze,
            self.hard_swish,
            self.stride,
        )


LARGE = (
    Row(3, 16, 16, False, False, 1),
    Row(3, 64, 24, False, False, 2),
    Row(3, 72, 24, False, False, 1),
    Row(5, 72, 40, True, False, 2),
    Row(5, 120, 40, True, False, 1),
    Row(5, 120, 40, True, False, 1),
    Row(3, 240, 80, False, True, 2),
    Row(3, 200, 80, False, True, 1),
    Row(3, 184, 80, False, True, 1),
    Row(3, 184, 80, False, True, 1),
    Row(3, 480, 112, True, True, 1),
    Row(3, 672, 112, True, True, 1),
    Row(5, 672, 160, True, True, 2),
    Row(5, 960, 160, True, True, 1),
    Row(5, 960, 160, True, True, 1),
)
SMALL = (
    Row(3, 16, 16, True, False, 2),
    Row(3, 72, 24, False, False, 2),
    Row(3, 88, 24, False, False, 1),
    Row(5, 96, 40, True, True, 2),
    Row(5, 240, 40, True, True, 1),
    Row(5, 240, 40, True, True, 1),
    Row(5, 120, 48, True, True, 1),
    Row(5, 144, 48, True, True, 1),
    Row(5, 288, 96, True, True, 2),
    Row(5, 576, 96, True, True, 1),
    Row(5, 576, 96, True, True, 1),
)


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate in [0, 1], made from all channels' means. Keys: fc1, fc2."""

    def __init__(self, channels: int, squeezed_channels: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed_channels, 1)
        self.activation = nn.ReLU()
        self.fc2 = nn.Conv2d(squeezed_channels, channels, 1)
        self.scale_activation = nn.Hardsigmoid()
        initialize(self.fc1, RELU_GAIN)
        initialize(self.fc2, LINEAR_GAIN)

    def forward(self, features: Tensor) -> Tensor:
        """Return `features` [N, C, H, W], each channel times its gate [N, C, 1, 1]."""
        squeezed = self.activation(self.fc1(self.avgpool(features)))
        gate: Tensor = self.scale_activation(self.fc2(squeezed))
        return gate * features


class InvertedResidual(nn.Module):
    """Expand, filter each channel, squeeze-excite, project; add the input if it fits.

    Keys: block.0 expansion (absent when it expands nothing), then depthwise, squeeze-excite (where
    the row has one), projection.
    """

    def __init__(self, in_channels: int, row: Row) -> None:
        super().__init__()
        activation: Callable[[], nn.Module] = nn.Hardswish if row.hard_swish else nn.ReLU
        depthwise = ConvNorm(row.kernel_size, row.stride, True, activation)
        project = ConvNorm(1, activation=None, gain=GATED_GAIN if row.squeeze else LINEAR_GAIN)
        layers: list[nn.Module] = []
        if row.expanded != in_channels:
            expand = ConvNorm(1, activation=activation)
            layers.append(expand.build(in_channels, row.expanded, convention=CONVENTION))
        layers.append(depthwise.build(row.expanded, row.expanded, convention=CONVENTION))
        if row.squeeze:
            layers.append(SqueezeExcite(row.expanded, rounded_channels(row.expanded // 4)))
        layers.append(project.build(row.expanded, row.out, convention=CONVENTION))
        self.block = nn.Sequential(*layers)
        self.adds_input = row.stride == 1 and in_channels == row.out

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, C_out, ceil(H / stride), ceil(W / stride)] of [N, C_in, H, W]."""
        projected: Tensor = self.block(features)
        return projected + features if self.adds_input else projected


class MobileNetV3(nn.Module):
    """The network: images [N, 3, H, W] to logits [N, num_classes]; torchvision's key names."""

    def __init__(
        self, rows: tuple[Row, ...], *, hidden: int, width: float, num_classes: int
    ) -> None:
        super().__init__()
        channels = rounded_channels(16 * width)
        first = ConvNorm(3, stride=2, activation=nn.Hardswish)
        layers: list[nn.Module] = [first.build(3, channels, convention=CONVENTION)]
        for row in (base.scaled(width) for base in rows):
            layers.append(InvertedResidual(channels, row))
            channels = row.out
        last = ConvNorm(1, activation=nn.Hardswish)
        layers.append(last.build(channels, 6 * channels, convention=CONVENTION))
        hidden_features = rounded_channels(hidden * width)
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            linear(6 * channels, hidden_features, RELU_GAIN),
            nn.Hardswish(),
            nn.Dropout(0.2),
            linear(hidden_features, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [N, num_classes] of `images` [N, 3, H, W]."""
        pooled = self.avgpool(self.features(images))  # [N, C, 1, 1]
        logits: Tensor = self.classifier(torch.flatten(pooled, 1))
        return logits


def mobilenet_v3_large(width: float = 1.0, num_classes: int = 1000) -> MobileNetV3:
    """Return a randomly initialized MobileNetV3-Large (batch-norm eps 1e-3, as in torchvision).

    Raises:
        RequestError: If `width` is not a number above 0, or `num_classes` no integer >= 1.
    """
    check_arguments("mobilenet_v3_large", width=width, num_classes=num_classes)
    return MobileNetV3(LARGE, hidden=1280, width=width, num_classes=num_classes)


def mobilenet_v3_small(width: float = 1.0, num_classes: int = 1000) -> MobileNetV3:
    """Return a randomly initialized MobileNetV3-Small (batch-norm eps 1e-3, as in torchvision).

    Raises:
        RequestError: As `mobilenet_v3_large`.
    """
    check_arguments("mobilenet_v3_small", width=width, num_classes=num_classes)
    return MobileNetV3(SMALL, hidden=1024, width=width, num_classes=num_classes)
