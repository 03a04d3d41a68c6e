"""PAN: a segmenter with attention over a pyramid and led upsampling, on MobileNetV2 or ResNet-101.

Source: Li et al. 2018, arXiv:1805.10180. Of the decoder's channels the paper says nothing: here
they are the same at all maps, 128 on MobileNetV2 and 256 on ResNet-101.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from intaglio.maps.postprocess import MapPostProcess
from intaglio.zoo.atrous import make_atrous
from intaglio.zoo.blocks import check_arguments, rounded_channels
from intaglio.zoo.bodies import Body, body, channels_of
from intaglio.zoo.fpn import TappedBody
from intaglio.zoo.map_ends import enlarged, scored_classes
from intaglio.zoo.pyramid_attention import (
    AttentionUpsample,
    Design,
    PyramidAttention,
    pointwise,
    unit,
)
from intaglio.zoo.resnet import resnet101_layers

MOBILE_TAPS, RESNET_TAPS = ("3", "6", "13", "17"), ("layer1", "layer2", "layer3", "layer4")
"""The last layers of each size, strides 4, 8, 16 and 32; the last one is atrous below 32."""
TAP_STRIDES = (4, 8, 16, 32)
MOBILE_CHANNELS, RESNET_CHANNELS = 128, 256
PAN = Design()


class Pan(nn.Module):
    """The network: images [N, 3, H, W] to logits [N, num_classes, H, W].

    The logits are made at a quarter of the size (without `gau` at the last map's size) and enlarged
    bilinearly. Keys: backbone, fpa, gau.k (the coarsest first), classifier.

    Attributes:
        num_classes: With the background, where there is one.
        backbone_keys: Where a classifier's weights go: see `bodies.load_backbone`.
    """

    def __init__(
        self,
        layers: Body,
        taps: Sequence[str],
        *,
        channels: int,
        num_classes: int,
        output_stride: int,
        design: Design,
    ) -> None:
        super().__init__()
        self.backbone = TappedBody(layers.layers, taps if design.gau else taps[-1:])
        widths = [channels_of(layers.layers[tap]) for tap in taps]
        self.fpa = (
            PyramidAttention(widths[-1], channels, design)
            if design.fpa
            else unit(widths[-1], channels, 1)
        )
        strides = [min(stride, output_stride) for stride in TAP_STRIDES]
        self.gau = nn.ModuleList(
            AttentionUpsample(
                widths[index],
                channels,
                None if strides[index] == strides[index + 1] else design.upsampling,
            )
            for index in reversed(range(len(taps) - 1 if design.gau else 0))
        )
        self.classifier = pointwise(channels, num_classes)
        self.num_classes = num_classes
        self.backbone_keys: Mapping[str, str] = {"backbone.": layers.prefix}

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [N, num_classes, H, W] of `images` [N, 3, H, W]."""
        *lows, last = self.backbone(images)
        features = self.fpa(last)
        for upsample, low in zip(self.gau, reversed(lows), strict=True):
            features = upsample(low, features)
        return enlarged(self.classifier(features), images)

    def postprocess(self, input_size: tuple[int, int]) -> MapPostProcess:
        """Return what the logits of images of `input_size` (height, width) mean."""
        return scored_classes(self.num_classes)


def pan_mobilenet_v2(
    num_classes: int = 21,
    *,
    width: float = 1.0,
    backbone: str = "mobilenet_v2",
    output_stride: int = 16,
    design: Design = PAN,
) -> Pan:
    """Return a randomly initialized PAN on MobileNetV2, without its last layer of 1280 channels.

    Args:
        num_classes: With the background.
        width: Multiplies all channel numbers, the decoder's 128 too (rounded to eights).
        backbone: "mobilenet_v2" (torchvision's: symmetric padding, batch-norm eps 1e-5, input with
            the ImageNet mean) or "mobilenet_v2_tf" (SAME padding, eps 1e-3, input RGB / 127.5 - 1).
        output_stride: 8, 16 or 32; what the last map divides height and width by.
        design: Which parts there are.

    Raises:
        RequestError: If `width` is not a number above 0, `num_classes` no integer >= 1, or any
            other is not among its choices.
    """
    name = "pan_mobilenet_v2"
    check_arguments(name, width=width, num_classes=num_classes)
    design.check(name)
    mobile = body(name, backbone, known=("mobilenet_v2", "mobilenet_v2_tf"), width=width)
    make_atrous(mobile.layers.values(), output_stride, network=name)
    return Pan(
        mobile,
        MOBILE_TAPS,
        channels=rounded_channels(MOBILE_CHANNELS * width),
        num_classes=num_classes,
        output_stride=output_stride,
        design=design,
    )


def pan_resnet101(
    num_classes: int = 21, *, width: float = 1.0, output_stride: int = 16, design: Design = PAN
) -> Pan:
    """Return a randomly initialized PAN on ResNet-101, the paper's network.

    The first convolution is the one of 7x7 pixels that torchvision's weights have, where the paper
    has three of 3x3. Input: RGB in 0..1, minus the ImageNet mean, over its standard deviation.

    Args:
        num_classes: With the background.
        width: Multiplies all channel numbers, the decoder's 256 too (rounded to eights).
        output_stride: 8, 16 or 32; what the last map divides height and width by.
        design: Which parts it has.

    Raises:
        RequestError: If `width` is not a number above 0, `num_classes` no integer >= 1, or any
            other is not among its choices.
    """
    name = "pan_resnet101"
    check_arguments(name, width=width, num_classes=num_classes)
    design.check(name)
    resnet = Body(resnet101_layers(width), "")
    make_atrous(resnet.layers.values(), output_stride, network=name)
    return Pan(
        resnet,
        RESNET_TAPS,
        channels=rounded_channels(RESNET_CHANNELS * width),
        num_classes=num_classes,
        output_stride=output_stride,
        design=design,
    )
