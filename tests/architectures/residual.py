"""Residual and densely connected networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from architectures.blocks import Classifier, SqueezeExcite, conv_norm


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; the ReLU module is used twice (He et al. 2015)."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        changes = stride != 1 or channels != out
        self.downsample = (
            conv_norm(channels, out, stride=stride, activation=None) if changes else None
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += shortcut
        return self.relu(y)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a shortcut; `groups` above 1 makes it a ResNeXt's."""

    def __init__(self, channels: int, inside: int, out: int, *, groups: int = 1) -> None:
        super().__init__()
        self.reduce = conv_norm(channels, inside)
        self.conv = conv_norm(inside, inside, 3, groups=groups)
        self.expand = conv_norm(inside, out, activation=None)
        self.shortcut = conv_norm(channels, out, activation=None)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.expand(self.conv(self.reduce(x))) + self.shortcut(x))


class PreActivationBlock(nn.Module):
    """Batch norm and ReLU in front of each convolution: no fold reaches them (He et al. 2016)."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(channels, out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        activated = F.relu(self.bn1(x))
        y = self.conv1(activated)
        y = self.conv2(F.relu(self.bn2(y)))
        return y + self.shortcut(activated)


def stem(channels: int) -> nn.Sequential:
    return nn.Sequential(conv_norm(3, channels, 7, stride=2), nn.MaxPool2d(3, stride=2, padding=1))


def resnet() -> nn.Module:
    return nn.Sequential(
        stem(8), BasicBlock(8, 8), BasicBlock(8, 16, 2), BasicBlock(16, 16), Classifier(16)
    )


def resnext() -> nn.Module:
    return nn.Sequential(
        stem(8), Bottleneck(8, 8, 16, groups=4), Bottleneck(16, 8, 16, groups=2), Classifier(16)
    )


def resnet_preactivation() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 1, 1, bias=False),
        PreActivationBlock(8, 8),
        PreActivationBlock(8, 16, 2),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        Classifier(16),
    )


class DenseLayer(nn.Module):
    """Reads everything before it; adds `growth` channels (Huang et al. 2017)."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, 2 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(2 * growth)
        self.conv2 = nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False)

    def forward(self, features: list[Tensor]) -> Tensor:
        x = self.conv1(F.relu(self.norm1(torch.cat(features, 1))))
        return self.conv2(F.relu(self.norm2(x)))


class DenseBlock(nn.Module):
    """Dense layers in a row."""

    def __init__(self, channels: int, growth: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DenseLayer(channels + index * growth, growth) for index in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.layers:
            features.append(layer(features))
        return torch.cat(features, 1)


def densenet() -> nn.Module:
    transition = nn.Sequential(
        nn.BatchNorm2d(20), nn.ReLU(), nn.Conv2d(20, 10, 1, bias=False), nn.AvgPool2d(2)
    )
    return nn.Sequential(
        stem(8),
        DenseBlock(8, 4, 3),
        transition,
        DenseBlock(10, 4, 2),
        nn.BatchNorm2d(18),
        nn.ReLU(),
        Classifier(18),
    )


class RegNetBlock(nn.Module):
    """A grouped bottleneck with squeeze-excite (Radosavovic et al. 2020, RegNetY)."""

    def __init__(self, channels: int, out: int, *, stride: int, groups: int) -> None:
        super().__init__()
        self.a = conv_norm(channels, out)
        self.b = conv_norm(out, out, 3, stride=stride, groups=groups)
        self.squeeze = SqueezeExcite(out, channels // 4)
        self.c = conv_norm(out, out, activation=None)
        changes = stride != 1 or channels != out
        self.proj = (
            conv_norm(channels, out, stride=stride, activation=None) if changes else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.proj(x) + self.c(self.squeeze(self.b(self.a(x)))))


def regnet_y() -> nn.Module:
    return nn.Sequential(
        conv_norm(3, 8, 3, stride=2),
        RegNetBlock(8, 16, stride=2, groups=4),
        RegNetBlock(16, 16, stride=1, groups=4),
        Classifier(16),
    )
