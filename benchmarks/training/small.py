"""A small network with what the others have not: joined branches, pools of means, a gate, a sum."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def convolution(before: int, after: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Return a convolution with a batch norm and ReLU6."""
    layers = [
        nn.Conv2d(before, after, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU6(),
    ]
    return nn.Sequential(*layers)


class Joined(nn.Module):
    """Three branches joined, one of them pooled; behind them a gate and a sum."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.near = convolution(before, after, 1)
        self.far = convolution(before, after, 3)
        self.pooled = convolution(before, after, 1)
        self.last = nn.Conv2d(3 * after, before, 1)
        self.gate = nn.Conv2d(before, before, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, before, H, W]."""
        mean = self.pooled(F.avg_pool2d(x, 3, 1, 1))
        joined = self.last(torch.cat([self.near(x), self.far(x), mean], 1))
        gate = torch.sigmoid(self.gate(F.adaptive_avg_pool2d(joined, 1)))
        return x + joined * gate


class Pools(nn.Module):
    """Two such blocks, and a pool between them."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.first = convolution(3, 24, 3, 2)
        self.blocks = nn.ModuleList([Joined(24, 16), Joined(24, 16)])
        self.head = nn.Linear(24, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return [N, classes] for [N, 3, H, W]."""
        x = self.blocks[0](self.first(images))
        x = self.blocks[1](F.avg_pool2d(x, 2))
        return self.head(x.mean((2, 3)))  # type: ignore[no-any-return]
