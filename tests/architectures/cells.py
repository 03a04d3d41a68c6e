"""Networks whose blocks have branches: Inception, NASNet, and what is merged after training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from architectures.blocks import Classifier, conv_norm, depthwise


class Inception(nn.Module):
    """Four branches side by side (Szegedy et al. 2015)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch1 = conv_norm(channels, 4)
        self.branch2 = nn.Sequential(conv_norm(channels, 4), conv_norm(4, 6, 3))
        self.branch3 = nn.Sequential(conv_norm(channels, 2), conv_norm(2, 4, 5))
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True), conv_norm(channels, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


def googlenet() -> nn.Module:
    return nn.Sequential(
        conv_norm(3, 8, 7, stride=2),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        Inception(8),
        nn.MaxPool2d(2, stride=2, ceil_mode=True),
        Inception(16),
        Classifier(16),
    )


class InceptionA(nn.Module):
    """Inception v3's: an average-pool branch, and a branch of 1xn and nx1 kernels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pooled = conv_norm(channels, 4)
        self.row = nn.Conv2d(channels, 4, (1, 7), padding=(0, 3), bias=False)
        self.column = nn.Conv2d(4, 4, (7, 1), padding=(3, 0), bias=False)
        self.norm = nn.BatchNorm2d(4, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pooled(F.avg_pool2d(x, kernel_size=3, stride=1, padding=1))
        return torch.cat([pooled, F.relu(self.norm(self.column(self.row(x)))), x], 1)


def inception_v3() -> nn.Module:
    return nn.Sequential(conv_norm(3, 8, 3, stride=2), InceptionA(8), Classifier(16))


class RepVggBlock(nn.Module):
    """3x3, 1x1 and identity with batch norm, summed: as trained (Ding et al. 2021)."""

    def __init__(self, channels: int, out: int, *, stride: int) -> None:
        super().__init__()
        same = stride == 1 and channels == out
        self.identity = nn.BatchNorm2d(channels) if same else None
        self.dense = conv_norm(channels, out, 3, stride=stride, activation=None)
        self.pointwise = conv_norm(channels, out, stride=stride, activation=None)
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        identity = 0 if self.identity is None else self.identity(x)
        return self.activation(self.dense(x) + self.pointwise(x) + identity)


def repvgg() -> nn.Module:
    return nn.Sequential(
        RepVggBlock(3, 8, stride=2),
        RepVggBlock(8, 8, stride=1),
        RepVggBlock(8, 8, stride=1),
        Classifier(8),
    )


class MobileOneBlock(nn.Module):
    """Several equal branches, a scale branch and a skip branch, summed (Vasu et al. 2022)."""

    def __init__(
        self, channels: int, out: int, *, kernel_size: int, groups: int, stride: int
    ) -> None:
        super().__init__()
        same = stride == 1 and channels == out
        self.skip = nn.BatchNorm2d(channels) if same else None
        self.scale = conv_norm(channels, out, stride=stride, groups=groups, activation=None)
        self.convs = nn.ModuleList(
            conv_norm(channels, out, kernel_size, stride=stride, groups=groups, activation=None)
            for _ in range(2)
        )
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.scale(x)
        if self.skip is not None:
            y = y + self.skip(x)
        for conv in self.convs:
            y = y + conv(x)
        return self.activation(y)


def mobileone() -> nn.Module:
    return nn.Sequential(
        MobileOneBlock(3, 8, kernel_size=3, groups=1, stride=2),
        MobileOneBlock(8, 8, kernel_size=3, groups=8, stride=1),
        MobileOneBlock(8, 12, kernel_size=1, groups=1, stride=1),
        Classifier(12),
    )


class SeparableConv(nn.Module):
    """ReLU, depthwise, pointwise, batch norm."""

    def __init__(self, channels: int, out: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = depthwise(channels, kernel_size, stride=stride, activation=None)
        self.pointwise = conv_norm(channels, out, activation=None)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(F.relu(x)))


class NasNetCell(nn.Module):
    """Pairs of operations on this and the previous cell's output, summed (Zoph et al. 2018)."""

    def __init__(self, previous: int, current: int, out: int) -> None:
        super().__init__()
        self.fit_previous = nn.Sequential(nn.ReLU(), conv_norm(previous, out, activation=None))
        self.fit_current = nn.Sequential(nn.ReLU(), conv_norm(current, out, activation=None))
        self.left = SeparableConv(out, out, 5)
        self.right = SeparableConv(out, out, 3)
        self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, previous: Tensor, current: Tensor) -> Tensor:
        h0, h1 = self.fit_previous(previous), self.fit_current(current)
        pairs = [
            self.left(h1) + self.right(h0),
            self.pool(h1) + h0,
            self.pool(h0) + self.pool(h0),
            self.right(h1) + h1,
        ]
        return torch.cat([h0, *pairs], 1)


class NasNet(nn.Module):
    """A stem and two cells."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_norm(3, 8, 3, stride=2, activation=None)
        self.cell1 = NasNetCell(8, 8, 4)
        self.cell2 = NasNetCell(8, 20, 4)
        self.head = Classifier(20)

    def forward(self, x: Tensor) -> Tensor:
        stem = self.stem(x)
        first = self.cell1(stem, stem)
        return self.head(F.relu(self.cell2(stem, first)))


def nasnet() -> nn.Module:
    return NasNet()
