"""Feature pyramids: maps of several strides, all with the same channels, each of which saw all.

Source: Lin et al. 2017, arXiv:1612.03144, section 3; key names of torchvision.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from intaglio.zoo.blocks import LINEAR_GAIN, RELU_GAIN, initialize
from intaglio.zoo.bodies import Body, channels_of
from intaglio.zoo.frozen_norm import freeze_norms

Maps = tuple[Tensor, ...]
CHANNELS = 256


class TappedBody(nn.Sequential):
    """Layers one behind the other; what some of them put out is returned."""

    def __init__(self, layers: OrderedDict[str, nn.Module], taps: Sequence[str]) -> None:
        names = list(layers)
        last = max(names.index(tap) for tap in taps)
        super().__init__(OrderedDict((name, layers[name]) for name in names[: last + 1]))
        self.taps = frozenset(taps)

    def forward(self, images: Tensor) -> Maps:
        """Return what the tapped layers make of `images` [N, 3, H, W], in their order."""
        features, tapped = images, []
        for name, layer in self.named_children():
            features = layer(features)
            if name in self.taps:
                tapped.append(features)
        return tuple(tapped)


class Subsampled(nn.Module):
    """One more map: every second pixel of the last one."""

    def forward(self, last: Tensor) -> Maps:
        """Return ([N, C, ceil(H / 2), ceil(W / 2)],) of `last` [N, C, H, W]."""
        return (F.max_pool2d(last, 1, stride=2),)


class Strided(nn.Module):
    """Two more maps, P6 and P7 of RetinaNet, by 3x3 convolutions of stride 2. Keys: p6, p7.

    Source: Lin et al. 2017, arXiv:1708.02002, section 4; of P5 instead of C5, as torchvision.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.p6 = _conv(channels, channels, 3, stride=2)
        self.p7 = _conv(channels, channels, 3, stride=2, gain=RELU_GAIN)

    def forward(self, last: Tensor) -> Maps:
        """Return maps of half and of a quarter of the size of `last` [N, C, H, W]."""
        half = self.p6(last)
        return half, self.p7(F.relu(half))


class FeaturePyramid(nn.Module):
    """Each map, by a 1x1 convolution, plus the next coarser one enlarged; then a 3x3 convolution.

    Keys: inner_blocks.k.0, layer_blocks.k.0, and extra_blocks where the further maps have weights.
    """

    def __init__(
        self, in_channels: Sequence[int], further: nn.Module, *, channels: int = CHANNELS
    ) -> None:
        super().__init__()
        self.inner_blocks = nn.ModuleList(
            nn.Sequential(_conv(one, channels, 1)) for one in in_channels
        )
        self.layer_blocks = nn.ModuleList(
            nn.Sequential(_conv(channels, channels, 3)) for _ in in_channels
        )
        self.extra_blocks = further

    def forward(self, maps: Maps) -> Maps:
        """Return one map for each of `maps`, finest first, and the further ones behind."""
        inner = [block(features) for block, features in zip(self.inner_blocks, maps, strict=True)]
        merged = [inner[-1]]
        for lateral in reversed(inner[:-1]):
            merged.insert(0, lateral + _enlarged(merged[0], lateral.shape[-2:]))
        smooth = [block(one) for block, one in zip(self.layer_blocks, merged, strict=True)]
        return (*smooth, *self.extra_blocks(smooth[-1]))


class PyramidBackbone(nn.Module):
    """A body and the pyramid on it: images [N, 3, H, W] to maps, finest first. Keys: body, fpn.

    Norms of the body are frozen: `norm_eps` is what they add to the variance, or None for the eps
    of the framework that the body was trained in.
    """

    def __init__(
        self,
        body: Body,
        taps: Sequence[str],
        further: nn.Module,
        *,
        norm_eps: float | None = None,
    ) -> None:
        super().__init__()
        self.body = TappedBody(body.layers, taps)
        freeze_norms(self.body, eps=norm_eps)
        self.fpn = FeaturePyramid([channels_of(body.layers[tap]) for tap in taps], further)

    def forward(self, images: Tensor) -> Maps:
        """Return the maps [N, 256, H / stride, W / stride] of `images`, finest first."""
        maps: Maps = self.fpn(self.body(images))
        return maps


def _enlarged(features: Tensor, size: Sequence[int]) -> Tensor:
    """Return the map at `size` pixels (nearest), or itself where it has that size already."""
    if list(features.shape[-2:]) == list(size):
        return features
    return F.interpolate(features, size=list(size), mode="nearest")


def _conv(
    in_channels: int,
    out_channels: int,
    size: int,
    *,
    stride: int = 1,
    gain: float = LINEAR_GAIN,
) -> nn.Conv2d:
    convolution = nn.Conv2d(in_channels, out_channels, size, stride=stride, padding=size // 2)
    initialize(convolution, gain)
    return convolution
