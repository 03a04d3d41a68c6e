"""Layers of YOLO networks of the YAML family: a list of layers that say whose results they take."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Conv(nn.Module):
    """Convolution, batch norm, SiLU."""

    def __init__(
        self,
        channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        padding: int | None = None,
    ) -> None:
        super().__init__()
        padding = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(channels, out_channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001, momentum=0.03)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    """Two convolutions, and what came in added to them where `shortcut` says so."""

    def __init__(self, channels: int, shortcut: bool, *, first: int = 3) -> None:
        super().__init__()
        self.cv1 = Conv(channels, channels, first)
        self.cv2 = Conv(channels, channels, 3)
        self.add = shortcut

    def forward(self, x: Tensor) -> Tensor:
        return x + self.cv2(self.cv1(x)) if self.add else self.cv2(self.cv1(x))


class C2f(nn.Module):
    """Two halves, one of which goes on through bottlenecks; all results are joined."""

    def __init__(self, channels: int, out_channels: int, shortcut: bool = False) -> None:
        super().__init__()
        self.c = out_channels // 2
        self.cv1 = Conv(channels, 2 * self.c)
        self.cv2 = Conv(3 * self.c, out_channels)
        self.m = nn.ModuleList([Bottleneck(self.c, shortcut)])

    def forward(self, x: Tensor) -> Tensor:
        y = list(self.cv1(x).chunk(2, 1))
        y.extend(m(y[-1]) for m in self.m)
        return self.cv2(torch.cat(y, 1))


class C3(nn.Module):
    """A branch through bottlenecks beside one past them."""

    def __init__(self, channels: int, out_channels: int, shortcut: bool = False) -> None:
        super().__init__()
        half = out_channels // 2
        self.cv1 = Conv(channels, half)
        self.cv2 = Conv(channels, half)
        self.cv3 = Conv(2 * half, out_channels)
        self.m = nn.Sequential(Bottleneck(half, shortcut, first=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))


class SPPF(nn.Module):
    """Three max pools in a row, all joined: as pools of 5, 9 and 13."""

    def __init__(self, channels: int, out_channels: int, kernel: int = 5) -> None:
        super().__init__()
        self.cv1 = Conv(channels, channels // 2)
        self.cv2 = Conv(channels * 2, out_channels)
        self.m = nn.MaxPool2d(kernel, stride=1, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        y = [self.cv1(x)]
        y.extend(self.m(y[-1]) for _ in range(3))
        return self.cv2(torch.cat(y, 1))


class Concat(nn.Module):
    """A list of maps, joined along the channels."""

    def forward(self, x: list[Tensor]) -> Tensor:
        return torch.cat(x, 1)


class Layered(nn.Module):
    """Layers in order; each takes the results that its `f` names: -1 is the layer before."""

    def __init__(self, layers: list[tuple[int | list[int], nn.Module]]) -> None:
        super().__init__()
        self.save: list[int] = []
        for index, (source, layer) in enumerate(layers):
            layer.f, layer.i = source, index
            named = [source] if isinstance(source, int) else source
            self.save.extend(number for number in named if number != -1)
        self.model = nn.Sequential(*(layer for _, layer in layers))

    def forward(self, x: Tensor) -> object:
        results: list[object] = []
        taken: object = x
        for layer in self.model:
            if layer.f != -1:
                taken = [taken if number == -1 else results[number] for number in layer.f]
            taken = layer(taken)
            results.append(taken if layer.i in self.save else None)
        return taken


def path_aggregation(
    block: type[C2f] | type[C3], stem: Conv, detect: nn.Module
) -> list[tuple[int | list[int], nn.Module]]:
    """Return the 23 layers of a small network whose `detect` takes maps of 16, 24, 32 channels."""
    return [
        (-1, stem),
        (-1, Conv(8, 16, 3, 2)),
        (-1, block(16, 16, True)),
        (-1, Conv(16, 16, 3, 2)),
        (-1, block(16, 16, True)),  # 4: stride 8
        (-1, Conv(16, 24, 3, 2)),
        (-1, block(24, 24, True)),  # 6: stride 16
        (-1, Conv(24, 32, 3, 2)),
        (-1, block(32, 32, True)),
        (-1, SPPF(32, 32)),  # 9: stride 32
        (-1, nn.Upsample(scale_factor=2, mode="nearest")),
        ([-1, 6], Concat()),
        (-1, block(56, 24)),
        (-1, nn.Upsample(scale_factor=2, mode="nearest")),
        ([-1, 4], Concat()),
        (-1, block(40, 16)),
        (-1, Conv(16, 16, 3, 2)),
        ([-1, 12], Concat()),
        (-1, block(40, 24)),
        (-1, Conv(24, 24, 3, 2)),
        ([-1, 9], Concat()),
        (-1, block(56, 32)),
        ([15, 18, 21], detect),
    ]
