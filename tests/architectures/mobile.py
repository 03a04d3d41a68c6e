"""Networks made for phones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from architectures.blocks import Classifier, InvertedResidual, conv_norm, depthwise


class Fire(nn.Module):
    """Squeeze, then expand with 1x1 and 3x3 side by side (Iandola et al. 2016)."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        return torch.cat(
            [
                self.expand1x1_activation(self.expand1x1(x)),
                self.expand3x3_activation(self.expand3x3(x)),
            ],
            1,
        )


def squeezenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(8, 4, 8),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(16, 4, 8),
        nn.Dropout(),
        nn.Conv2d(16, 10, 1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
    )


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Return [N, C, H, W] with the channels of the groups interleaved."""
    batch, channels, height, width = x.shape
    x = x.view(batch, groups, channels // groups, height, width)
    return torch.transpose(x, 1, 2).contiguous().view(batch, channels, height, width)


class ShuffleBlock(nn.Module):
    """Half of the channels pass, the other half is computed; then both mix (Ma et al. 2018)."""

    def __init__(self, channels: int, *, stride: int) -> None:
        super().__init__()
        self.stride = stride
        inside = channels if stride == 2 else channels // 2
        self.branch1 = nn.Sequential(
            depthwise(channels, stride=2, activation=None), conv_norm(channels, channels)
        )
        self.branch2 = nn.Sequential(
            conv_norm(inside, inside),
            depthwise(inside, stride=stride, activation=None),
            conv_norm(inside, inside),
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            kept, changed = x.chunk(2, dim=1)
            return channel_shuffle(torch.cat((kept, self.branch2(changed)), dim=1), 2)
        return channel_shuffle(torch.cat((self.branch1(x), self.branch2(x)), dim=1), 2)


def shufflenet_v2() -> nn.Module:
    return nn.Sequential(
        conv_norm(3, 8, 3, stride=2),
        nn.MaxPool2d(3, 2, 1),
        ShuffleBlock(8, stride=2),
        ShuffleBlock(16, stride=1),
        conv_norm(16, 16),
        Classifier(16),
    )


class GhostModule(nn.Module):
    """Half of the channels by a 1x1, the other half from them by a cheap depthwise convolution."""

    def __init__(self, channels: int, out: int, *, relu: bool = True) -> None:
        super().__init__()
        self.out = out
        half = -(-out // 2)
        activation = nn.ReLU if relu else nn.Identity
        self.primary = conv_norm(channels, half, activation=activation)
        self.cheap = depthwise(half, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        first = self.primary(x)
        both = torch.cat([first, self.cheap(first)], dim=1)
        return both[:, : self.out, :, :]


class GhostBottleneck(nn.Module):
    """Two ghost modules with a depthwise stride between (Han et al. 2020)."""

    def __init__(self, channels: int, inside: int, out: int, *, stride: int) -> None:
        super().__init__()
        self.ghost1 = GhostModule(channels, inside)
        self.downsample = (
            depthwise(inside, stride=stride, activation=None) if stride > 1 else nn.Identity()
        )
        self.ghost2 = GhostModule(inside, out, relu=False)
        self.shortcut = nn.Sequential(
            depthwise(channels, stride=stride, activation=None),
            conv_norm(channels, out, activation=None),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.ghost2(self.downsample(self.ghost1(x))) + self.shortcut(x)


def ghostnet() -> nn.Module:
    return nn.Sequential(
        conv_norm(3, 8, 3, stride=2),
        GhostBottleneck(8, 16, 8, stride=1),
        GhostBottleneck(8, 15, 12, stride=2),
        Classifier(12),
    )


def mnasnet() -> nn.Module:
    """Inverted residuals with kernels of 3 and 5, ReLU and squeeze-excite (Tan et al. 2019)."""
    return nn.Sequential(
        conv_norm(3, 8, 3, stride=2),
        depthwise(8),
        conv_norm(8, 8, activation=None),
        InvertedResidual(8, 8, expansion=3, activation=nn.ReLU),
        InvertedResidual(
            8, 12, expansion=3, kernel_size=5, stride=2, activation=nn.ReLU, squeezed=6
        ),
        Classifier(12),
    )


def efficientnet_lite() -> nn.Module:
    """EfficientNet for integer devices: ReLU6, no squeeze-excite."""
    return nn.Sequential(
        conv_norm(3, 8, 3, stride=2, activation=nn.ReLU6),
        InvertedResidual(8, 8, expansion=1),
        InvertedResidual(8, 12, expansion=6, kernel_size=5, stride=2),
        InvertedResidual(12, 12, expansion=6, kernel_size=5),
        conv_norm(12, 24, activation=nn.ReLU6),
        Classifier(24),
    )


def efficientnet() -> nn.Module:
    """SiLU and squeeze-excite (Tan and Le 2019)."""
    return nn.Sequential(
        conv_norm(3, 8, 3, stride=2, activation=nn.SiLU),
        InvertedResidual(8, 8, expansion=4, activation=nn.SiLU, squeezed=2),
        InvertedResidual(
            8, 12, expansion=4, kernel_size=5, stride=2, activation=nn.SiLU, squeezed=2
        ),
        conv_norm(12, 24, activation=nn.SiLU),
        Classifier(24),
    )


def fbnet() -> nn.Module:
    """Blocks of several expansions, kernels and grouped 1x1 convolutions (Wu et al. 2019)."""
    grouped = nn.Sequential(
        conv_norm(12, 24, groups=2), depthwise(24), conv_norm(24, 12, groups=2, activation=None)
    )
    return nn.Sequential(
        conv_norm(3, 8, 3, stride=2),
        InvertedResidual(8, 8, expansion=1, activation=nn.ReLU),
        InvertedResidual(8, 12, expansion=3, kernel_size=5, stride=2, activation=nn.ReLU),
        grouped,
        Classifier(12),
    )


class MixedDepthwise(nn.Module):
    """Channels in groups, each with its own kernel size (Tan and Le 2019, MixConv)."""

    def __init__(self, sizes: tuple[int, ...], kernel_sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.sizes = sizes
        self.convs = nn.ModuleList(
            nn.Conv2d(size, size, kernel, padding=kernel // 2, groups=size, bias=False)
            for size, kernel in zip(sizes, kernel_sizes, strict=True)
        )
        self.norm = nn.BatchNorm2d(sum(sizes))

    def forward(self, x: Tensor) -> Tensor:
        pieces = torch.split(x, self.sizes, dim=1)
        mixed = [conv(piece) for conv, piece in zip(self.convs, pieces, strict=True)]
        return F.hardswish(self.norm(torch.cat(mixed, dim=1)))


def mixnet() -> nn.Module:
    return nn.Sequential(
        conv_norm(3, 12, 3, stride=2, activation=nn.Hardswish),
        MixedDepthwise((6, 4, 2), (3, 5, 7)),
        conv_norm(12, 12, activation=None),
        Classifier(12),
    )


def hard_swish(x: Tensor) -> Tensor:
    """The activation as MobileNetV3's authors wrote it down."""
    return x * F.relu6(x + 3.0) / 6.0


class ManualHardSwish(nn.Module):
    """hard_swish as a module."""

    def forward(self, x: Tensor) -> Tensor:
        return hard_swish(x)


def mobilenet_manual() -> nn.Module:
    """Hard-swish and hard-sigmoid in elementary operations."""

    class ManualGate(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.relu6(x + 3) / 6

    return nn.Sequential(
        conv_norm(3, 8, 3, stride=2, activation=ManualHardSwish),
        InvertedResidual(8, 8, expansion=2, activation=ManualHardSwish),
        nn.Conv2d(8, 8, 1),
        ManualGate(),
        Classifier(8),
    )
