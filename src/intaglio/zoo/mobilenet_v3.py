"""MobileNetV3, large and small: inverted residuals with squeeze-excite and hard-swish.

Source: Howard et al. 2019, arXiv:1905.02244, tables 1 and 2; key names, channel rounding and
batch-norm constants of torchvision. The quantization-friendly ones: zoo/blocks.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from intaglio.zoo.blocks import (
    LINEAR_GAIN,
    QUANTIZATION_FRIENDLY,
    RELU_GAIN,
    Convention,
    ConvNorm,
    Style,
    check_arguments,
    initialize,
    linear,
    rounded_channels,
)

CONVENTION = Convention(norm_eps=1e-3, norm_momentum=0.01)
STYLE = Style(CONVENTION, nn.Hardswish)
QF_STYLE = replace(QUANTIZATION_FRIENDLY, convention=CONVENTION)
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
        expanded, out = (rounded_channels(base * width) for base in (self.expanded, self.out))
        return replace(self, expanded=expanded, out=out)


LARGE_ROWS = (
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
SMALL_ROWS = (
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


def for_small_input(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Return the rows with stride 1 in the first that halves height and width."""
    first = next(index for index, row in enumerate(rows) if row.stride == 2)
    return (*rows[:first], replace(rows[first], stride=1), *rows[first + 1 :])


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

    def __init__(self, in_channels: int, row: Row, style: Style) -> None:
        super().__init__()
        activation: Callable[[], nn.Module] = style.activation if row.hard_swish else nn.ReLU
        squeeze = row.squeeze and style.squeeze_excite
        depthwise = style.depthwise(row.kernel_size, row.stride, activation)
        project = ConvNorm(1, activation=None, gain=GATED_GAIN if squeeze else LINEAR_GAIN)
        convention = style.convention
        layers: list[nn.Module] = []
        if row.expanded != in_channels:
            expand = style.expansion(activation)
            layers.append(expand.build(in_channels, row.expanded, convention=convention))
        layers.append(depthwise.build(row.expanded, row.expanded, convention=convention))
        if squeeze:
            layers.append(SqueezeExcite(row.expanded, rounded_channels(row.expanded // 4)))
        layers.append(project.build(row.expanded, row.out, convention=convention))
        self.block = nn.Sequential(*layers)
        self.adds_input = row.stride == 1 and in_channels == row.out

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, C_out, ceil(H / stride), ceil(W / stride)] of [N, C_in, H, W]."""
        projected: Tensor = self.block(features)
        return projected + features if self.adds_input else projected


@dataclass(frozen=True)
class Table:
    """One of the paper's two networks, at width 1.

    Attributes:
        rows: Its blocks.
        hidden: Features in front of the last layer.
    """

    rows: tuple[Row, ...]
    hidden: int


LARGE = Table(LARGE_ROWS, 1280)
SMALL = Table(SMALL_ROWS, 1024)


class MobileNetV3(nn.Module):
    """The network: images [N, 3, H, W] to logits [N, num_classes]; torchvision's key names.

    `small_input` keeps more pixels of 32x32 images: stride 1 in the first layer and in the first
    block that has stride 2 (the 24-channel one of the large network, the 16-channel one of the
    small), so that the network divides height and width by 8 instead of 32. Same keys and shapes.
    """

    def __init__(
        self, table: Table, style: Style, *, width: float, num_classes: int, small_input: bool
    ) -> None:
        super().__init__()
        channels = rounded_channels(16 * width)
        first = ConvNorm(3, stride=1 if small_input else 2, activation=style.activation)
        layers: list[nn.Module] = [first.build(3, channels, convention=style.convention)]
        rows = for_small_input(table.rows) if small_input else table.rows
        for row in (base.scaled(width) for base in rows):
            layers.append(InvertedResidual(channels, row, style))
            channels = row.out
        last = ConvNorm(1, activation=style.activation)
        layers.append(last.build(channels, 6 * channels, convention=style.convention))
        hidden_features = rounded_channels(table.hidden * width)
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            linear(6 * channels, hidden_features, RELU_GAIN),
            style.activation(),
            nn.Dropout(0.2),
            linear(hidden_features, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [N, num_classes] of `images` [N, 3, H, W]."""
        pooled = self.avgpool(self.features(images))  # [N, C, 1, 1]
        logits: Tensor = self.classifier(torch.flatten(pooled, 1))
        return logits


def mobilenet_v3_large(
    width: float = 1.0, num_classes: int = 1000, *, small_input: bool = False
) -> MobileNetV3:
    """Return a randomly initialized MobileNetV3-Large (batch-norm eps 1e-3, as in torchvision).

    Raises:
        RequestError: If `width` is not a number above 0, or `num_classes` no integer >= 1.
    """
    check_arguments("mobilenet_v3_large", width=width, num_classes=num_classes)
    return MobileNetV3(LARGE, STYLE, width=width, num_classes=num_classes, small_input=small_input)


def mobilenet_v3_small(
    width: float = 1.0, num_classes: int = 1000, *, small_input: bool = False
) -> MobileNetV3:
    """Return a randomly initialized MobileNetV3-Small (batch-norm eps 1e-3, as in torchvision).

    Raises:
        RequestError: As `mobilenet_v3_large`.
    """
    check_arguments("mobilenet_v3_small", width=width, num_classes=num_classes)
    return MobileNetV3(SMALL, STYLE, width=width, num_classes=num_classes, small_input=small_input)


def qf_mobilenet_v3_large(
    width: float = 1.0,
    num_classes: int = 1000,
    *,
    expansion_norm: bool = True,
    squeeze_excite: bool = True,
    small_input: bool = False,
) -> MobileNetV3:
    """Return a randomly initialized quantization-friendly MobileNetV3-Large.

    A block is pointwise, batch norm, ReLU, depthwise, squeeze-excite (where the paper has it),
    pointwise, batch norm; ReLU stands in for hard-swish everywhere. Keys are those of
    `mobilenet_v3_large`, without the norms of depthwise convolutions.

    Args:
        width: Multiplies all channel numbers.
        num_classes: Number of logits.
        expansion_norm: Whether the first pointwise convolution of a block has a norm; else a bias.
        squeeze_excite: Whether there is squeeze-excite; without it, the pointwise convolutions
            behind are one number lower in their keys.
        small_input: For images of 32x32 pixels.

    Raises:
        RequestError: As `mobilenet_v3_large`.
    """
    check_arguments("qf_mobilenet_v3_large", width=width, num_classes=num_classes)
    style = replace(QF_STYLE, expansion_norm=expansion_norm, squeeze_excite=squeeze_excite)
    return MobileNetV3(LARGE, style, width=width, num_classes=num_classes, small_input=small_input)


def qf_mobilenet_v3_small(
    width: float = 1.0,
    num_classes: int = 1000,
    *,
    expansion_norm: bool = True,
    squeeze_excite: bool = True,
    small_input: bool = False,
) -> MobileNetV3:
    """Return a randomly initialized quantization-friendly MobileNetV3-Small.

    Blocks, keys and arguments are as of `qf_mobilenet_v3_large`.

    Raises:
        RequestError: As `mobilenet_v3_large`.
    """
    check_arguments("qf_mobilenet_v3_small", width=width, num_classes=num_classes)
    style = replace(QF_STYLE, expansion_norm=expansion_norm, squeeze_excite=squeeze_excite)
    return MobileNetV3(SMALL, style, width=width, num_classes=num_classes, small_input=small_input)
