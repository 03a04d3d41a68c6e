"""The two parts of PAN: attention over a pyramid of one map, and upsampling led by its summary.

Source: Li et al. 2018, arXiv:1805.10180, sections 3.2 (figure 3b) and 3.3 (figure 4). What the
paper leaves open, and is so here: every convolution has a batch norm and a ReLU behind it, and the
product of features and attention is taken as it is, without a sigmoid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from intaglio.errors import RequestError
from intaglio.zoo.blocks import LINEAR_GAIN, PYTORCH, RELU_GAIN, ConvNorm, initialize

Pooling = Literal["average", "max", "strided"]
Upsampling = Literal["bilinear", "transposed"]
POOLINGS: tuple[Pooling, ...] = ("average", "max", "strided")
UPSAMPLINGS: tuple[Upsampling, ...] = ("bilinear", "transposed")
LEVELS = 3
NARROWER = 4
"""A level of the pyramid has a quarter of the channels."""


@dataclass(frozen=True)
class Design:
    """Which parts a PAN has: the paper's, or what its tables compare them with.

    Attributes:
        fpa: Pyramid attention on the last map; else a 1x1 convolution.
        gau: Led upsampling through the finer maps; else logits are made of the last map.
        global_branch: Whether the attention has its branch of the map's mean.
        pooling: How the pyramid halves a map in front of each level: "average", "max" (2x2 pixels),
            or "strided", where the level's first convolution does it.
        upsampling: "bilinear", or "transposed" convolutions of 3x3 pixels in its place.
        pyramid: Kernel sizes of the pyramid's levels, the finest first; odd.
    """

    fpa: bool = True
    gau: bool = True
    global_branch: bool = True
    pooling: Pooling = "average"
    upsampling: Upsampling = "bilinear"
    pyramid: tuple[int, ...] = (7, 5, 3)

    def check(self, network: str) -> None:
        """Raise RequestError, naming `network`, unless every choice is one that there is."""
        for name, value, known in (
            ("pooling", self.pooling, POOLINGS),
            ("upsampling", self.upsampling, UPSAMPLINGS),
        ):
            if value not in known:
                choices = ", ".join(f"'{one}'" for one in known)
                raise RequestError(f"{network}: {name} must be one of {choices}, got {value!r}")
        sizes = self.pyramid
        if (
            not isinstance(sizes, Sequence)
            or len(sizes) != LEVELS
            or not all(isinstance(size, int) and size > 0 and size % 2 for size in sizes)
        ):
            raise RequestError(
                f"{network}: pyramid must be {LEVELS} odd kernel sizes such as (7, 5, 3),"
                f" got {sizes!r}"
            )


class Bilinear(nn.Module):
    """Enlarges a map by interpolation; corners of pixels, not their middles, are aligned."""

    def forward(self, features: Tensor, size: Sequence[int]) -> Tensor:
        """Return [N, C, *size] of `features` [N, C, H, W]."""
        return F.interpolate(features, size=list(size), mode="bilinear", align_corners=False)


class Transposed(nn.Module):
    """Enlarges a map to the double size, or one pixel less, by learned weights. Keys: up."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(channels, channels, 3, stride=2, padding=1)
        fan_in = channels * 9 / 4  # of the nine taps a pixel is met by 1, 2, 2 or 4
        nn.init.normal_(self.up.weight, std=LINEAR_GAIN / fan_in**0.5)
        nn.init.zeros_(_bias(self.up))

    def forward(self, features: Tensor, size: Sequence[int]) -> Tensor:
        """Return [N, C, *size] of `features` [N, C, H, W]: each side is 2 n - 1 or 2 n."""
        enlarged: Tensor = self.up(features, output_size=list(size))
        return enlarged


class PyramidAttention(nn.Module):
    """Feature Pyramid Attention: one map, each pixel times what a pyramid over it says.

    (a) a 1x1 convolution; (b) three levels of half, a quarter and an eighth of the map, each by two
    convolutions at a quarter of the channels, added up from the coarsest, widened by a 1x1
    convolution and multiplied onto (a); (c) the mean of the map by a 1x1 convolution, added.
    Keys: main, down.k, lateral.k, widen, up.k, everywhere (c).
    """

    def __init__(self, in_channels: int, channels: int, design: Design) -> None:
        super().__init__()
        inner = max(1, channels // NARROWER)
        self.main = unit(in_channels, channels, 1)
        inputs = (in_channels, inner, inner)
        self.down = nn.ModuleList(
            halving(before, inner, size, design.pooling)
            for before, size in zip(inputs, design.pyramid, strict=True)
        )
        self.lateral = nn.ModuleList(unit(inner, inner, size) for size in design.pyramid)
        self.widen = unit(inner, channels, 1)
        self.up = nn.ModuleList(
            enlarging(width, design.upsampling) for width in (channels, inner, inner)
        )
        self.everywhere = (
            nn.Sequential(nn.AdaptiveAvgPool2d(1), unit(in_channels, channels, 1))
            if design.global_branch
            else None
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, channels, H, W] of `features` [N, C_in, H, W]."""
        levels = [features]
        for down in self.down:
            levels.append(down(levels[-1]))
        merged = self.lateral[-1](levels[-1])
        for index in (1, 0):
            side = self.lateral[index](levels[index + 1])
            merged = side + self.up[index + 1](merged, side.shape[-2:])
        attention = self.up[0](self.widen(merged), features.shape[-2:])
        attended: Tensor = self.main(features) * attention
        # [N, channels, 1, 1]: upsampling one pixel makes the same of every place
        return attended if self.everywhere is None else attended + self.everywhere(features)


class AttentionUpsample(nn.Module):
    """Global Attention Upsample: a finer map, each channel weighted by the mean of a coarser one.

    The finer map by a 3x3 convolution, times [mean of the coarser map, 1x1, norm, ReLU], plus the
    coarser map enlarged. Keys: low, gate, up.
    """

    def __init__(self, low_channels: int, channels: int, upsampling: Upsampling | None) -> None:
        super().__init__()
        self.low = unit(low_channels, channels, 3)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), unit(channels, channels, 1))
        self.up = None if upsampling is None else enlarging(channels, upsampling)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Return [N, C, H, W] of `low` [N, C_low, H, W] and `high` [N, C, ceil(H/2), ceil(W/2)].

        Without `upsampling` both maps have one size.
        """
        gated: Tensor = self.low(low) * self.gate(high)
        return gated + (high if self.up is None else self.up(high, low.shape[-2:]))


def unit(in_channels: int, out_channels: int, size: int, *, stride: int = 1) -> nn.Sequential:
    """Return convolution, batch norm and ReLU; the map keeps its size at stride 1."""
    layer = ConvNorm(size, stride, activation=nn.ReLU, gain=RELU_GAIN)
    return layer.build(in_channels, out_channels, convention=PYTORCH)


def halving(in_channels: int, out_channels: int, size: int, pooling: Pooling) -> nn.Module:
    """Return what makes a map of half the size, rounded up, and convolves it."""
    if pooling == "strided":
        return unit(in_channels, out_channels, size, stride=2)
    kind = nn.AvgPool2d if pooling == "average" else nn.MaxPool2d
    return nn.Sequential(kind(2, stride=2, ceil_mode=True), unit(in_channels, out_channels, size))


def enlarging(channels: int, upsampling: Upsampling) -> nn.Module:
    """Return what enlarges a map to a size that it is told."""
    return Bilinear() if upsampling == "bilinear" else Transposed(channels)


def pointwise(in_channels: int, out_channels: int) -> nn.Conv2d:
    """Return a 1x1 convolution with bias, which nothing stands behind."""
    convolution = nn.Conv2d(in_channels, out_channels, 1)
    initialize(convolution, LINEAR_GAIN)
    return convolution


def _bias(layer: nn.ConvTranspose2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias
