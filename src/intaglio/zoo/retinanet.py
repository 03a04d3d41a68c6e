"""RetinaNet: one head for all maps of a feature pyramid, trained with the focal loss.

Source: Lin et al. 2017, arXiv:1708.02002; key names of torchvision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor, nn

from intaglio.boxes import anchors, families
from intaglio.boxes.postprocess import PostProcess
from intaglio.zoo.blocks import RELU_GAIN, check_arguments, initialize
from intaglio.zoo.bodies import body
from intaglio.zoo.fpn import CHANNELS, Maps, PyramidBackbone, Strided

DEPTH = 4  # convolutions in front of each head's last one
INITIAL_STD = 0.01  # of the last layers' weights: section 4.1
INITIAL_PROBABILITY = 0.01  # of an object, whatever the class, in an untrained network


STRIDES = (8, 16, 32, 64, 128)
OF_A_CELL = len(anchors.RETINANET_SIZES[0]) * len(anchors.PYRAMID_RATIOS)


class PyramidHead(nn.Module):
    """Four 3x3 convolutions with ReLUs and a last one, the same for every map.

    Keys: conv.0.0 to conv.3.0, and the last layer under the name that it is given.
    """

    def __init__(self, numbers: int, last: str, *, bias: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *(nn.Sequential(_conv(CHANNELS), nn.ReLU()) for _ in range(DEPTH))
        )
        self.last = last
        layer = _conv(numbers)
        nn.init.normal_(layer.weight, std=INITIAL_STD)
        nn.init.constant_(_bias(layer), bias)
        self.add_module(last, layer)

    def forward(self, maps: Maps) -> Maps:
        """Return [N, numbers, H, W] of each map [N, 256, H, W]."""
        layer = self.get_submodule(self.last)
        return tuple(layer(self.conv(one)) for one in maps)


class RetinaNetHead(nn.Module):
    """The numbers of all boxes. Keys: classification_head, regression_head."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        bias = -math.log((1 - INITIAL_PROBABILITY) / INITIAL_PROBABILITY)
        self.classification_head = PyramidHead(OF_A_CELL * num_classes, "cls_logits", bias=bias)
        self.regression_head = PyramidHead(OF_A_CELL * 4, "bbox_reg")

    def forward(self, maps: Maps) -> Maps:
        """Return the maps of box numbers, then those of class scores."""
        return (*self.regression_head(maps), *self.classification_head(maps))


class RetinaNet(nn.Module):
    """The network: images [N, 3, H, W] to maps of box numbers, then maps of class scores.

    Of each of five levels (strides 8 to 128) [N, 9 * 4, H, W] and [N, 9 * num_classes, H, W], all
    numbers of a cell's first anchor first; scores are logits of a sigmoid. Keys: backbone, head.

    Attributes:
        num_classes: As torchvision counts them: its first one is never an object.
        backbone_keys: Where a classifier's weights go: see `bodies.load_backbone`.
    """

    def __init__(
        self,
        backbone: PyramidBackbone,
        *,
        num_classes: int,
        backbone_keys: Mapping[str, str],
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = RetinaNetHead(num_classes)
        self.num_classes, self.backbone_keys = num_classes, backbone_keys

    def forward(self, images: Tensor) -> Maps:
        """Return the raw numbers of `images`: no sigmoid, nothing concatenated."""
        maps: Maps = self.head(self.backbone(images))
        return maps

    def postprocess(self, input_size: tuple[int, int]) -> PostProcess:
        """Return what the raw numbers of images of `input_size` (height, width) mean."""
        maps = anchors.map_sizes(input_size, STRIDES)
        places = anchors.anchor_grids(input_size, maps, sizes=anchors.RETINANET_SIZES)
        return families.retinanet(input_size, places, classes=self.num_classes)


def retinanet_resnet50_fpn(
    num_classes: int = 91, *, width: float = 1.0, norm_eps: float = 1e-5
) -> RetinaNet:
    """Return a randomly initialized RetinaNet on ResNet-50, with frozen norms.

    Input: RGB in 0..1, minus the ImageNet mean, over its standard deviation.

    Args:
        num_classes: As torchvision counts them.
        width: Multiplies the body's channel numbers; the pyramid has 256.
        norm_eps: What norms add to the variance; 0 for torchvision's trained weights (COCO_V1),
            which were made without.

    Raises:
        RequestError: If `width` is not a number above 0, or `num_classes` no integer >= 1.
    """
    name = "retinanet_resnet50_fpn"
    check_arguments(name, width=width, num_classes=num_classes)
    resnet = body(name, "resnet50", known=("resnet50",), width=width)
    taps = ("layer2", "layer3", "layer4")
    backbone = PyramidBackbone(resnet, taps, Strided(CHANNELS), norm_eps=norm_eps)
    keys = {"backbone.body.": resnet.prefix}
    return RetinaNet(backbone, num_classes=num_classes, backbone_keys=keys)


def retinanet_mobilenet_v2_fpn(
    num_classes: int = 91, *, width: float = 1.0, backbone: str = "mobilenet_v2"
) -> RetinaNet:
    """Return a randomly initialized RetinaNet on MobileNetV2, with frozen norms in the body.

    The pyramid stands on the last layers of strides 8, 16 and 32 (keys backbone.body.6, .13, .18).

    Args:
        num_classes: As torchvision counts them.
        width: Multiplies the body's channel numbers; the pyramid has 256.
        backbone: "mobilenet_v2" (torchvision's: symmetric padding, batch-norm eps 1e-5, input with
            the ImageNet mean) or "mobilenet_v2_tf" (SAME padding, eps 1e-3, input RGB / 127.5 - 1).

    Raises:
        RequestError: If `width` is not a number above 0, `num_classes` no integer >= 1, or the
            backbone another.
    """
    name = "retinanet_mobilenet_v2_fpn"
    check_arguments(name, width=width, num_classes=num_classes)
    mobile = body(name, backbone, known=("mobilenet_v2", "mobilenet_v2_tf"), width=width)
    pyramid = PyramidBackbone(mobile, ("6", "13", "18"), Strided(CHANNELS))
    keys = {"backbone.body.": mobile.prefix}
    return RetinaNet(pyramid, num_classes=num_classes, backbone_keys=keys)


def _conv(out_channels: int) -> nn.Conv2d:
    convolution = nn.Conv2d(CHANNELS, out_channels, 3, padding=1)
    initialize(convolution, RELU_GAIN)
    return convolution


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias
