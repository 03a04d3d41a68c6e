"""Segmentation, detection and super-resolution: outputs that are maps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from architectures.blocks import conv_norm


class UNet(nn.Module):
    """Down, up by transposed convolutions, joined by concatenation (Ronneberger et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.down1 = conv_norm(3, 8, 3)
        self.down2 = conv_norm(8, 12, 3)
        self.bottom = conv_norm(12, 16, 3)
        self.pool = nn.MaxPool2d(2)
        self.up2 = nn.ConvTranspose2d(16, 12, 2, stride=2)
        self.join2 = conv_norm(24, 12, 3)
        self.up1 = nn.ConvTranspose2d(12, 8, 3, stride=2, padding=1, output_padding=1, groups=4)
        self.up1_norm = nn.BatchNorm2d(8)
        self.join1 = conv_norm(16, 8, 3)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.down1(x)
        second = self.down2(self.pool(first))
        y = self.bottom(self.pool(second))
        y = self.join2(torch.cat([self.up2(y), second], dim=1))
        y = self.join1(torch.cat([F.relu(self.up1_norm(self.up1(y))), first], dim=1))
        return self.head(y)


class Pyramid(nn.Module):
    """Features of three sizes, halving each time."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = conv_norm(3, 6, 3, stride=2)
        self.stage2 = conv_norm(6, 8, 3, stride=2)
        self.stage3 = conv_norm(8, 12, 3, stride=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first = self.stage1(x)
        second = self.stage2(first)
        return first, second, self.stage3(second)


class FeaturePyramid(nn.Module):
    """Top-down path by nearest interpolation and addition (Lin et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Pyramid()
        self.lateral = nn.ModuleList(nn.Conv2d(size, 8, 1) for size in (6, 8, 12))
        self.smooth = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in range(3))

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [conv(f) for conv, f in zip(self.lateral, self.backbone(x), strict=True)]
        merged = [features[-1]]
        for feature in reversed(features[:-1]):
            upper = F.interpolate(merged[0], size=feature.shape[-2:], mode="nearest")
            merged.insert(0, feature + upper)
        return [smooth(feature) for smooth, feature in zip(self.smooth, merged, strict=True)]


class PathAggregation(nn.Module):
    """The pyramid once more bottom-up, by strided convolutions (Liu et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.pyramid = FeaturePyramid()
        self.down = nn.ModuleList(conv_norm(8, 8, 3, stride=2) for _ in range(2))
        self.join = nn.ModuleList(conv_norm(16, 8) for _ in range(2))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        levels = self.pyramid(x)
        out = [levels[0]]
        for down, join, level in zip(self.down, self.join, levels[1:], strict=True):
            out.append(join(torch.cat([down(out[-1]), level], 1)))
        return tuple(out)


class SpatialPyramidPooling(nn.Module):
    """Max pools of 5, 9 and 13 side by side (He et al. 2014, as in YOLOv3-SPP)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_norm(3, 8, 3, stride=2)
        self.pools = nn.ModuleList(nn.MaxPool2d(k, stride=1, padding=k // 2) for k in (5, 9, 13))
        self.fuse = conv_norm(32, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.fuse(torch.cat([x, *[pool(x) for pool in self.pools]], 1))


class DilatedPooling(nn.Module):
    """Dilated branches and an image-wide one (Chen et al. 2017, ASPP)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.pointwise = conv_norm(channels, out)
        self.dilated = nn.ModuleList(
            conv_norm(channels, out, 3, dilation=rate) for rate in (2, 4, 6)
        )
        self.pooling = nn.Sequential(nn.AdaptiveAvgPool2d(1), conv_norm(channels, out))
        self.project = conv_norm(5 * out, out)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        pooled = F.interpolate(self.pooling(x), size=size, mode="bilinear", align_corners=False)
        branches = [self.pointwise(x), *[conv(x) for conv in self.dilated], pooled]
        return self.project(torch.cat(branches, dim=1))


class DeepLab(nn.Module):
    """A backbone that keeps its resolution by dilation, ASPP, and upsampling to the input."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            conv_norm(3, 8, 3, stride=2),
            conv_norm(8, 8, 3, stride=2),
            conv_norm(8, 8, 3, dilation=2),
        )
        self.aspp = DilatedPooling(8, 6)
        self.head = nn.Conv2d(6, 3, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        logits = self.head(self.aspp(self.backbone(x)))
        size = x.shape[-2:]
        return {"out": F.interpolate(logits, size=size, mode="bilinear", align_corners=False)}


class LiteReducedAspp(nn.Module):
    """MobileNetV3's segmentation head: a gate from pooling, low and high features summed."""

    def __init__(self) -> None:
        super().__init__()
        self.low = conv_norm(3, 8, 3, stride=2)
        self.high = conv_norm(8, 12, 3, stride=2, activation=nn.Hardswish)
        self.branch = conv_norm(12, 8)
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(12, 8, 1, bias=False), nn.Sigmoid()
        )
        self.low_classifier = nn.Conv2d(8, 3, 1)
        self.high_classifier = nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        low = self.low(x)
        high = self.high(low)
        y = self.branch(high) * self.scale(high)
        y = F.interpolate(y, size=low.shape[-2:], mode="bilinear", align_corners=False)
        y = self.low_classifier(low) + self.high_classifier(y)
        return F.interpolate(y, scale_factor=2.0, mode="bilinear", align_corners=True)


class SsdHead(nn.Module):
    """Boxes and class scores of every anchor, flattened and joined (Liu et al. 2016)."""

    def __init__(self, anchors: int = 2, classes: int = 3) -> None:
        super().__init__()
        self.classes = classes
        self.backbone = Pyramid()
        sizes = (6, 8, 12)
        self.boxes = nn.ModuleList(nn.Conv2d(c, anchors * 4, 3, padding=1) for c in sizes)
        self.scores = nn.ModuleList(nn.Conv2d(c, anchors * classes, 3, padding=1) for c in sizes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        boxes, scores = [], []
        for feature, box, score in zip(self.backbone(x), self.boxes, self.scores, strict=True):
            boxes.append(box(feature).permute(0, 2, 3, 1).reshape(x.size(0), -1, 4))
            scores.append(
                score(feature).permute(0, 2, 3, 1).contiguous().view(x.size(0), -1, self.classes)
            )
        return torch.cat(boxes, 1), torch.cat(scores, 1).softmax(dim=-1)


class YoloLike(nn.Module):
    """Leaky ReLU, a residual block, focus slicing and a concatenation of two depths."""

    def __init__(self) -> None:
        super().__init__()
        leaky = lambda: nn.LeakyReLU(0.1, inplace=True)  # noqa: E731
        self.focus = conv_norm(12, 8, 3, activation=leaky)
        self.down = conv_norm(8, 12, 3, stride=2, activation=leaky)
        self.narrow = conv_norm(12, 6, activation=leaky)
        self.widen = conv_norm(6, 12, 3, activation=leaky)
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.head = nn.Conv2d(20, 7, 1)

    def forward(self, x: Tensor) -> Tensor:
        corners = [x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]]
        first = self.focus(torch.cat(corners, 1))
        second = self.down(first)
        second = second + self.widen(self.narrow(second))
        return self.head(torch.cat([self.upsample(second), first], 1))


class Edsr(nn.Module):
    """Residual super-resolution that ends in a pixel shuffle (Lim et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 8, 3, padding=1)
        self.body = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)
        )
        self.upscale = nn.Sequential(nn.Conv2d(8, 12, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x)
        return self.upscale(x + self.body(x) * 0.1)
