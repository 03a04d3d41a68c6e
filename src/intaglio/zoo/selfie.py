"""Selfie segmentation: who stands in the picture, by MobileNetV3-style blocks and a small decoder.

Source of the structure: google/mediapipe, modules/selfie_segmentation/selfie_segmentation.tflite;
blocks and the head of two branches: Howard et al. 2019, arXiv:1905.02244, sections 5.3 and 6.4.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intaglio.maps.postprocess import MapPostProcess
from intaglio.zoo.blocks import (
    LINEAR_GAIN,
    RELU_GAIN,
    TENSORFLOW,
    ConvNorm,
    check_arguments,
    initialize,
    rounded_channels,
)
from intaglio.zoo.mobilenet_v3 import GATED_GAIN, Row

NAMES = ("background", "person")
POINTWISE = ConvNorm(1, activation=nn.ReLU)
DEPTHWISE = ConvNorm(3, depthwise=True, activation=nn.ReLU)
LINEAR = ConvNorm(1, activation=None, gain=LINEAR_GAIN)
STEM_CHANNELS = 16
ROWS = (
    Row(3, 16, 16, True, False, 2),
    Row(3, 72, 24, False, False, 2),
    Row(3, 88, 24, False, False, 1),
    Row(5, 96, 32, True, True, 2),
    Row(5, 128, 32, True, True, 1),
    Row(5, 128, 32, True, True, 1),
    Row(5, 96, 32, True, True, 1),
    Row(5, 96, 32, True, True, 1),
)
"""The blocks of the encoder, at width 1."""
SKIPS = (0, 1, 3)
"""Of `features`: the layers behind which maps of 1/2, 1/4 and 1/8 of the sides are kept."""
HEAD_CHANNELS = 128


class Gate(nn.Module):
    """One number within 0..1 for each channel, made from all channels' means. Keys: fc1, fc2."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        initialize(self.fc1, RELU_GAIN)
        initialize(self.fc2, LINEAR_GAIN)

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, C, 1, 1] of `features` [N, C, H, W]."""
        squeezed = F.relu(self.fc1(F.adaptive_avg_pool2d(features, 1)))
        return torch.sigmoid(self.fc2(squeezed))


class Residual(nn.Module):
    """Expand, filter each channel, gate, project; add the input if it fits.

    Keys: expand.{0,1}, depthwise.{0,1}, gate.{fc1,fc2} (where the row has one), project.{0,1}.
    """

    def __init__(self, in_channels: int, row: Row, *, batch_norm: bool) -> None:
        super().__init__()
        activation: type[nn.Module] = nn.Hardswish if row.hard_swish else nn.ReLU
        expand = replace(POINTWISE, activation=activation)
        depthwise = ConvNorm(row.kernel_size, row.stride, True, activation)
        project = replace(LINEAR, gain=GATED_GAIN if row.squeeze else LINEAR_GAIN)
        self.expand = _layer(expand, in_channels, row.expanded, batch_norm=batch_norm)
        self.depthwise = _layer(depthwise, row.expanded, row.expanded, batch_norm=batch_norm)
        squeezed = rounded_channels(row.expanded // 4)
        self.gate = Gate(row.expanded, squeezed) if row.squeeze else None
        self.project = _layer(project, row.expanded, row.out, batch_norm=batch_norm)
        self.adds_input = row.stride == 1 and in_channels == row.out

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, C_out, ceil(H / stride), ceil(W / stride)] of [N, C_in, H, W]."""
        filtered = self.depthwise(self.expand(features))
        if self.gate is not None:
            filtered = filtered * self.gate(filtered)
        projected: Tensor = self.project(filtered)
        return projected + features if self.adds_input else projected


class Head(nn.Module):
    """The map's features, each channel times a gate of its mean. Keys: features.{0,1}, gate."""

    def __init__(self, in_channels: int, channels: int, *, batch_norm: bool) -> None:
        super().__init__()
        self.features = _layer(POINTWISE, in_channels, channels, batch_norm=batch_norm)
        self.gate = nn.Conv2d(in_channels, channels, 1)
        initialize(self.gate, LINEAR_GAIN)

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, C_out, H, W] of `features` [N, C_in, H, W]."""
        gate = torch.sigmoid(self.gate(F.adaptive_avg_pool2d(features, 1)))
        gated: Tensor = self.features(features) * gate
        return gated


class Level(nn.Module):
    """A coarse map doubled and joined with a finer one, which is gated by what both are.

    Keys: reduce.{0,1}, gate.{fc1,fc2}, pointwise.{0,1}, depthwise.{0,1}.
    """

    def __init__(self, in_channels: int, channels: int, *, batch_norm: bool) -> None:
        super().__init__()
        self.reduce = _layer(LINEAR, in_channels, channels, batch_norm=batch_norm)
        self.gate = Gate(channels, channels)
        self.pointwise = _layer(POINTWISE, channels, channels, batch_norm=batch_norm)
        self.depthwise = _layer(DEPTHWISE, channels, channels, batch_norm=batch_norm)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Return [N, C, H, W] of `coarse` [N, C_in, H / 2, W / 2] and `fine` [N, C, H, W]."""
        size = fine.shape[-2:]
        enlarged = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
        reduced = self.reduce(enlarged)
        joined: Tensor = self.pointwise(fine * self.gate(fine + reduced) + reduced)
        filtered: Tensor = self.depthwise(joined)
        return joined + filtered


class Doubled(nn.Module):
    """A transposed convolution whose 2x2 kernels stand side by side: each pixel becomes four.

    Keys: weight [C_out, 2, 2, C_in], as TensorFlow Lite has it; bias [C_out].
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        drawn = torch.randn(out_channels, 2, 2, in_channels) * LINEAR_GAIN / in_channels**0.5
        self.weight = nn.Parameter(drawn)
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, C_out, 2 H, 2 W] of `features` [N, C_in, H, W]."""
        kernels = self.weight.permute(3, 0, 1, 2)  # [C_in, C_out, 2, 2]
        doubled: Tensor = F.conv_transpose2d(features, kernels, self.bias, stride=2)
        return doubled


class SelfieSegmentation(nn.Module):
    """The network: images [N, 3, H, W], even sides, to probabilities [N, 1, H, W] of a
    person.

    Keys: features.0.{0,1} first convolution and norm, features.k block k = 1..8, head, decoder.k
    level k = 0..2, segment. With `batch_norm` False no layer has a norm (the `1`), and each
    convolution a bias: what folding leaves.
    """

    def __init__(self, *, width: float, batch_norm: bool) -> None:
        super().__init__()
        channels = rounded_channels(STEM_CHANNELS * width)
        stem = ConvNorm(3, stride=2, activation=nn.Hardswish)
        layers: list[nn.Module] = [_layer(stem, 3, channels, batch_norm=batch_norm)]
        made = [channels]
        for row in (base.scaled(width) for base in ROWS):
            layers.append(Residual(made[-1], row, batch_norm=batch_norm))
            made.append(row.out)
        self.features = nn.Sequential(*layers)
        channels = rounded_channels(HEAD_CHANNELS * width)
        self.head = Head(made[-1], channels, batch_norm=batch_norm)
        levels = []
        for skip in reversed(SKIPS):
            levels.append(Level(channels, made[skip], batch_norm=batch_norm))
            channels = made[skip]
        self.decoder = nn.ModuleList(levels)
        self.segment = Doubled(channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the probabilities [N, 1, 2 ceil(H / 2), 2 ceil(W / 2)] of `images` [N, 3, H, W].

        A side of an odd number of pixels has one more than the image.
        """
        skips, features = [], images
        for index, layer in enumerate(self.features):
            features = layer(features)
            if index in SKIPS:
                skips.append(features)
        joined = self.head(features)
        for level in self.decoder:
            joined = level(joined, skips.pop())
        return torch.sigmoid(self.segment(joined))

    def postprocess(self, input_size: tuple[int, int]) -> MapPostProcess:
        """Return what the probabilities of images of any size mean."""
        return MapPostProcess(2, rule="threshold", scores="probabilities", names=NAMES)


def selfie_segmentation(width: float = 1.0, *, batch_norm: bool = False) -> SelfieSegmentation:
    """Return a randomly initialized selfie segmenter, padded as in TensorFlow; RGB / 255.

    Args:
        width: Multiplies all channel numbers but the output's, to multiples of 8.
        batch_norm: Whether there are batch norms (eps 1e-3); else biases in their place, as in the
            public file. Gates have biases alone.

    Raises:
        RequestError: If `width` is not a number above 0.
    """
    check_arguments("selfie_segmentation", width=width, num_classes=len(NAMES))
    return SelfieSegmentation(width=width, batch_norm=batch_norm)


def _layer(
    shape: ConvNorm, in_channels: int, out_channels: int, *, batch_norm: bool
) -> nn.Sequential:
    """Return convolution[, norm][, activation]: keys 0 and 1."""
    shape = replace(shape, norm=batch_norm, bias=not batch_norm)
    return shape.build(in_channels, out_channels, convention=TENSORFLOW)
