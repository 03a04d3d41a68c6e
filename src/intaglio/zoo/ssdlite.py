"""SSDLite: SSD with depthwise separable convolutions, on MobileNetV2 and MobileNetV3.

Source: Sandler et al. 2018, arXiv:1801.04381, section 6.2; Howard et al. 2019, arXiv:1905.02244,
section 6.3; key names of torchvision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from intaglio.boxes import anchors, limits
from intaglio.errors import RequestError
from intaglio.zoo.blocks import (
    LINEAR_GAIN,
    PYTORCH,
    TENSORFLOW,
    Convention,
    ConvNorm,
    Style,
    check_arguments,
    initialize,
)
from intaglio.zoo.bodies import channels_of
from intaglio.zoo.mobilenet_v2 import MobileNetV2
from intaglio.zoo.mobilenet_v3 import LARGE, MobileNetV3, Table
from intaglio.zoo.ssd import Boxes, Maps, MapsBackbone, Ssd, SsdHead

SSDLITE = Boxes(anchors.SSDLITE_RATIOS, limits.SSDLITE)
STRIDES = (16, 32, 64, 128, 256, 512)
NORM = Convention(norm_eps=1e-3, norm_momentum=0.03)
EXTRA_CHANNELS = (512, 256, 256, 128)
FEWEST_CHANNELS = 16


@dataclass(frozen=True)
class Cut:
    """Where a MobileNet is cut in two: inside a block, behind its expansion.

    Attributes:
        block: Its index among the layers.
        inside: The name of the block's own Sequential.
        layers: How many layers there are.
    """

    block: int
    inside: str
    layers: int

    def keys(self) -> Mapping[str, str]:
        """Return where a classifier's weights go: prefixes of the detector to its own."""
        own, inside = "backbone.features", f"features.{self.block}.{self.inside}."
        keys = {f"{own}.0.{index}.": f"features.{index}." for index in range(self.block)}
        keys |= {f"{own}.0.{self.block}.": f"{inside}0.", f"{own}.1.0.": inside}
        behind = range(self.block + 1, self.layers)
        return keys | {f"{own}.1.{index - self.block}.": f"features.{index}." for index in behind}


V2_CUT, V3_CUT = Cut(14, "conv", 19), Cut(13, "block", 17)


class MobileMaps(MapsBackbone):
    """A MobileNet cut in two, and four further stages: images to six maps. Keys: features, extra.

    The first map is what the expansion of the last strided block puts out, the second the last
    convolution's.
    """

    def __init__(
        self, features: nn.Sequential, cut: Cut, *, width: float, convention: Convention
    ) -> None:
        super().__init__()
        layers = list(features)
        block: nn.Sequential = getattr(layers[cut.block], cut.inside)
        self.features = nn.Sequential(
            nn.Sequential(*layers[: cut.block], block[0]),
            # a slice keeps the names of the layers: block.1 is features.1.0.1
            nn.Sequential(block[1:], *layers[cut.block + 1 :]),
        )
        sizes = [channels_of(block[0]), channels_of(layers[-1])]
        extra = []
        for base in EXTRA_CHANNELS:
            channels = max(FEWEST_CHANNELS, int(base * width))
            extra.append(_extra(sizes[-1], channels, convention))
            sizes.append(channels)
        self.extra = nn.ModuleList(extra)
        self.out_channels = tuple(sizes)

    def forward(self, images: Tensor) -> Maps:
        """Return six maps of `images` [N, 3, H, W], of strides 16, 32, 64 and so on."""
        features, maps = images, []
        for stage in (*self.features, *self.extra):
            features = stage(features)
            maps.append(features)
        return tuple(maps)

    def map_sizes(self, input_size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """Return height and width of each map: 320 pixels make 20, 10, 5, 3, 2, 1."""
        return anchors.map_sizes(input_size, STRIDES)


def ssdlite_mobilenet_v2(
    num_classes: int = 91, *, width: float = 1.0, backbone: str = "mobilenet_v2"
) -> Ssd:
    """Return a randomly initialized SSDLite on MobileNetV2; 320 x 320 pixels have 3234 boxes.

    Keys are made as torchvision makes those of `ssdlite320_mobilenet_v3_large`.

    Args:
        num_classes: With the background.
        width: Multiplies all channel numbers but those of the heads.
        backbone: "mobilenet_v2" (torchvision's: symmetric padding, batch-norm eps 1e-5, input with
            the ImageNet mean) or "mobilenet_v2_tf" (SAME padding, eps 1e-3, input RGB / 127.5 - 1).
            Norms of the stages behind it have eps 1e-3.

    Raises:
        RequestError: If `width` is not a number above 0, `num_classes` no integer >= 1, or the
            backbone another.
    """
    check_arguments("ssdlite_mobilenet_v2", width=width, num_classes=num_classes)
    conventions = {"mobilenet_v2": PYTORCH, "mobilenet_v2_tf": TENSORFLOW}
    if backbone not in conventions:
        raise RequestError(
            "ssdlite_mobilenet_v2: backbone must be one of 'mobilenet_v2', 'mobilenet_v2_tf', got"
            f" {backbone!r}"
        )
    momentum = NORM.norm_momentum
    convention = replace(conventions[backbone], norm_momentum=momentum)
    body = MobileNetV2(Style(convention), width=width, num_classes=1, small_input=False)
    further = replace(convention, norm_eps=NORM.norm_eps)
    maps = MobileMaps(body.features, V2_CUT, width=width, convention=further)
    return _ssdlite(maps, num_classes=num_classes, backbone_keys=V2_CUT.keys())


def ssdlite320_mobilenet_v3_large(
    num_classes: int = 91, *, width: float = 1.0, reduced_tail: bool = True
) -> Ssd:
    """Return a randomly initialized SSDLite on MobileNetV3-Large; 320 x 320 have 3234 boxes.

    Input: RGB / 127.5 - 1. Trained weights of torchvision load as they are.

    Args:
        num_classes: With the background.
        width: Multiplies all channel numbers but those of the heads.
        reduced_tail: Half of the channels in the last three blocks, as in the paper and as
            torchvision's trained weights have it; False for a classifier's weights.

    Raises:
        RequestError: If `width` is not a number above 0, or `num_classes` no integer >= 1.
    """
    check_arguments("ssdlite320_mobilenet_v3_large", width=width, num_classes=num_classes)
    table = _reduced(LARGE) if reduced_tail else LARGE
    style = Style(NORM, nn.Hardswish)
    body = MobileNetV3(table, style, width=width, num_classes=1, small_input=False)
    maps = MobileMaps(body.features, V3_CUT, width=width, convention=NORM)
    return _ssdlite(maps, num_classes=num_classes, backbone_keys=V3_CUT.keys())


def _ssdlite(maps: MobileMaps, *, num_classes: int, backbone_keys: Mapping[str, str]) -> Ssd:
    head = SsdHead(
        maps.out_channels, SSDLITE.of_a_cell, num_classes=num_classes, predictor=_predictor
    )
    return Ssd(maps, head, SSDLITE, num_classes=num_classes, backbone_keys=backbone_keys)


def _predictor(channels: int, numbers: int) -> nn.Sequential:
    """Return a depthwise 3x3 convolution with norm and ReLU6, and a 1x1 one with neither."""
    last = nn.Conv2d(channels, numbers, 1)
    initialize(last, LINEAR_GAIN)
    depthwise = ConvNorm(3, depthwise=True).build(channels, channels, convention=NORM)
    return nn.Sequential(depthwise, last)


def _extra(in_channels: int, channels: int, convention: Convention) -> nn.Sequential:
    """Return a stage of stride 2: 1x1 to half of the channels, depthwise 3x3, 1x1."""
    half = channels // 2
    return nn.Sequential(
        ConvNorm(1).build(in_channels, half, convention=convention),
        ConvNorm(3, stride=2, depthwise=True).build(half, half, convention=convention),
        ConvNorm(1).build(half, channels, convention=convention),
    )


def _reduced(table: Table) -> Table:
    """Return the table with half of the channels behind the last strided depthwise convolution."""
    *rows, first, second, third = table.rows
    narrow = [replace(row, expanded=row.expanded // 2, out=row.out // 2) for row in (second, third)]
    return replace(table, rows=(*rows, replace(first, out=first.out // 2), *narrow))
