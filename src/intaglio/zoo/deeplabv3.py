"""DeepLabv3 on MobileNetV2, as TensorFlow's DeepLab builds it for devices.

Sources: Chen et al. 2017, arXiv:1706.05587, sections 3.2 and 3.3; Sandler et al. 2018,
arXiv:1801.04381, section 6.3, for the head of two branches; MobileNetV2: zoo/mobilenet_v2.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intaglio.errors import RequestError
from intaglio.maps.postprocess import MapPostProcess
from intaglio.zoo.atrous import make_atrous
from intaglio.zoo.blocks import (
    LINEAR_GAIN,
    PYTORCH,
    TENSORFLOW,
    Convention,
    ConvNorm,
    check_arguments,
    rounded_channels,
)
from intaglio.zoo.bodies import channels_of
from intaglio.zoo.map_ends import scored_classes
from intaglio.zoo.mobilenet_v2 import STAGES

CONVENTIONS: Mapping[str, Convention] = {"mobilenet_v2": PYTORCH, "mobilenet_v2_tf": TENSORFLOW}
STEM_CHANNELS = 32
"""Of the first convolution, at width 1."""
HEAD_CHANNELS = 256
"""Of each branch and of the projection, whatever the width."""
DROPPED = 0.1
"""Share of the projected features that training sets to zero."""
POINTWISE = ConvNorm(1)
DEPTHWISE = ConvNorm(3, depthwise=True)
PROJECTION = ConvNorm(1, activation=None, gain=LINEAR_GAIN)
BRANCH = ConvNorm(1, activation=nn.ReLU)
ATROUS_BRANCH = ConvNorm(3, activation=nn.ReLU)


class Residual(nn.Module):
    """Expand (1x1), filter each channel (3x3), project (1x1, linear); add the input if it fits.

    Keys as of MobileNetV2: conv.0 expansion (absent when it is 1), then depthwise, projection and
    its norm.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int,
        expansion: int,
        convention: Convention,
        batch_norm: bool,
    ) -> None:
        super().__init__()
        layer = partial(_layer, convention=convention, batch_norm=batch_norm)
        hidden = in_channels * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(layer(POINTWISE, in_channels, hidden))
        depthwise = replace(DEPTHWISE, stride=stride)
        layers.append(layer(depthwise, hidden, hidden))
        layers.extend(layer(PROJECTION, hidden, out_channels))
        self.conv = nn.Sequential(*layers)
        self.adds_input = stride == 1 and in_channels == out_channels

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, C_out, ceil(H / stride), ceil(W / stride)] of [N, C_in, H, W]."""
        projected: Tensor = self.conv(features)
        return features + projected if self.adds_input else projected


class DeepLabV3(nn.Module):
    """The network: images [N, 3, H, W] to logits [N, num_classes, H, W].

    Keys: features.k as in MobileNetV2, k = 0..17, image_pooling.{0,1}, aspp.k.{0,1} the 1x1 branch
    and the atrous ones, projection.{0,1}, logits. With `batch_norm` False no layer has a norm, and
    each convolution a bias: what folding leaves.
    """

    backbone_keys: Mapping[str, str] = {"features.": "features."}

    def __init__(
        self,
        *,
        width: float,
        num_classes: int,
        convention: Convention,
        output_stride: int,
        atrous_rates: Sequence[int],
        batch_norm: bool,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        layer = partial(_layer, convention=convention, batch_norm=batch_norm)
        self.features = nn.Sequential(*_features(width, convention, batch_norm))
        make_atrous(self.features, output_stride, network="deeplabv3_mobilenet_v2")
        channels = channels_of(self.features)
        self.image_pooling = layer(BRANCH, channels, HEAD_CHANNELS)
        self.aspp = nn.ModuleList([layer(BRANCH, channels, HEAD_CHANNELS)])
        for rate in atrous_rates:
            self.aspp.append(layer(ATROUS_BRANCH, channels, HEAD_CHANNELS, rate=rate))
        branches = (1 + len(self.aspp)) * HEAD_CHANNELS
        self.projection = layer(BRANCH, branches, HEAD_CHANNELS)
        self.dropout = nn.Dropout(DROPPED)
        last = ConvNorm(1, gain=LINEAR_GAIN, bias=True)
        self.logits = last.convolution(HEAD_CHANNELS, num_classes, convention=convention)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [N, num_classes, H, W] of `images` [N, 3, H, W].

        Corners are aligned where maps are resized: sides of 1 more than a multiple of the output
        stride, such as 257, are those at which SAME padding puts a map's cells there, too.
        """
        features = self.features(images)  # [N, C, H / output_stride, W / output_stride]
        pooled = self.image_pooling(F.adaptive_avg_pool2d(features, 1))  # [N, 256, 1, 1]
        branches = [_resized(pooled, features), *(branch(features) for branch in self.aspp)]
        projected = self.dropout(self.projection(torch.cat(branches, 1)))
        return _resized(self.logits(projected), images)

    def postprocess(self, input_size: tuple[int, int]) -> MapPostProcess:
        """Return what the logits of images of any size mean; 21 classes are those of VOC.

        Raises:
            ValueError: If there are more classes than 255.
        """
        return scored_classes(self.num_classes)


def deeplabv3_mobilenet_v2(
    width: float = 1.0,
    num_classes: int = 21,
    *,
    backbone: str = "mobilenet_v2_tf",
    output_stride: int = 8,
    atrous_rates: Sequence[int] = (),
    batch_norm: bool = True,
) -> DeepLabV3:
    """Return a randomly initialized DeepLabv3 on MobileNetV2.

    Args:
        width: Multiplies all channel numbers in front of the branches, to the nearest integer: as
            in TensorFlow's DeepLab, and other than in a classifier, whose numbers are multiples of
            8. At width 1 they are the same.
        num_classes: With the background.
        backbone: "mobilenet_v2_tf" (SAME padding, batch-norm eps 1e-3, input RGB / 127.5 - 1) or
            "mobilenet_v2" (torchvision's: symmetric padding, eps 1e-5, input with the ImageNet
            mean).
        output_stride: Pixels for one cell of the map in front of the branches, 8, 16 or 32.
        atrous_rates: Of further branches of 3x3 taps, such as the paper's (6, 12, 18) at output
            stride 16; none for devices.
        batch_norm: Whether there are batch norms; else biases in their place.

    Raises:
        RequestError: If `width` is not a number above 0, `num_classes` no integer >= 1, the
            backbone or the output stride another, or a rate no integer >= 1.
    """
    check_arguments("deeplabv3_mobilenet_v2", width=width, num_classes=num_classes)
    _check_choices(backbone, atrous_rates)
    return DeepLabV3(
        width=width,
        num_classes=num_classes,
        convention=CONVENTIONS[backbone],
        output_stride=output_stride,
        atrous_rates=atrous_rates,
        batch_norm=batch_norm,
    )


def _check_choices(backbone: str, atrous_rates: Sequence[int]) -> None:
    if backbone not in CONVENTIONS:
        choices = ", ".join(f"'{one}'" for one in CONVENTIONS)
        raise RequestError(
            f"deeplabv3_mobilenet_v2: backbone must be one of {choices}, got {backbone!r}"
        )
    for rate in atrous_rates:
        if not isinstance(rate, int) or isinstance(rate, bool) or rate < 1:
            raise RequestError(
                f"deeplabv3_mobilenet_v2: atrous_rates must be integers of at least 1, got {rate!r}"
            )


def _features(width: float, convention: Convention, batch_norm: bool) -> Iterator[nn.Module]:
    """Yield the first convolution and the 17 blocks of MobileNetV2, strided as in a classifier."""
    channels = rounded_channels(STEM_CHANNELS * width, 1)
    stem = ConvNorm(3, stride=2)
    yield _layer(stem, 3, channels, convention=convention, batch_norm=batch_norm)
    for expansion, base_channels, repeats, first_stride in STAGES:
        for index in range(repeats):
            in_channels, channels = channels, rounded_channels(base_channels * width, 1)
            yield Residual(
                in_channels,
                channels,
                stride=first_stride if index == 0 else 1,
                expansion=expansion,
                convention=convention,
                batch_norm=batch_norm,
            )


def _layer(
    shape: ConvNorm,
    in_channels: int,
    out_channels: int,
    *,
    convention: Convention,
    batch_norm: bool,
    rate: int = 1,
) -> nn.Sequential:
    """Return convolution[, norm][, activation]; the kernel's taps are `rate` pixels apart."""
    shape = replace(shape, norm=batch_norm, bias=not batch_norm)
    layer = shape.build(in_channels, out_channels, convention=convention)
    if rate > 1:
        convolution = layer[0]
        assert isinstance(convolution, nn.Conv2d)
        convolution.dilation = (rate, rate)
        # at stride 1 and an odd kernel SAME is symmetric, atrous or not
        convolution.padding = (rate * (shape.kernel_size // 2),) * 2
    return layer


def _resized(values: Tensor, like: Tensor) -> Tensor:
    """Return `values` with height and width of `like`, bilinear, corners on corners."""
    return F.interpolate(values, size=like.shape[-2:], mode="bilinear", align_corners=True)
