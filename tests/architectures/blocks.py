"""Pieces that many architectures share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Activation = Callable[[], nn.Module]


def conv_norm(
    channels: int,
    out: int,
    kernel_size: int = 1,
    *,
    stride: int = 1,
    groups: int = 1,
    dilation: int = 1,
    activation: Activation | None = nn.ReLU,
) -> nn.Sequential:
    """Return convolution, batch norm and activation; height and width are kept at stride 1."""
    padding = (kernel_size - 1) // 2 * dilation
    layers: list[nn.Module] = [
        nn.Conv2d(
            channels,
            out,
            kernel_size,
            stride,
            padding,
            dilation=dilation,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(out),
    ]
    return nn.Sequential(*layers, *([activation()] if activation else []))


def depthwise(
    channels: int, kernel_size: int = 3, *, stride: int = 1, activation: Activation | None = nn.ReLU
) -> nn.Sequential:
    """Return a depthwise convolution with batch norm and activation."""
    return conv_norm(
        channels, channels, kernel_size, stride=stride, groups=channels, activation=activation
    )


class SqueezeExcite(nn.Module):
    """Each channel times a gate in [0, 1] that all channels' means decide (Hu et al. 2018)."""

    def __init__(
        self,
        channels: int,
        squeezed: int,
        *,
        activation: Activation = nn.ReLU,
        gate: Activation = nn.Sigmoid,
    ) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.activation = activation()
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        squeezed = x.mean((2, 3), keepdim=True)  # [N, C, 1, 1]
        return x * self.gate(self.expand(self.activation(self.reduce(squeezed))))


class InvertedResidual(nn.Module):
    """Expand, depthwise, squeeze-excite, project; added to the input where shapes allow it."""

    def __init__(
        self,
        channels: int,
        out: int,
        *,
        expansion: int,
        kernel_size: int = 3,
        stride: int = 1,
        activation: Activation = nn.ReLU6,
        squeezed: int = 0,
    ) -> None:
        super().__init__()
        inside = channels * expansion
        self.expand = conv_norm(channels, inside, activation=activation)
        self.depthwise = depthwise(inside, kernel_size, stride=stride, activation=activation)
        self.squeeze = (
            SqueezeExcite(inside, squeezed, activation=activation) if squeezed else nn.Identity()
        )
        self.project = conv_norm(inside, out, activation=None)
        self.is_residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.squeeze(self.depthwise(self.expand(x))))
        return x + y if self.is_residual else y


class Classifier(nn.Module):
    """Global average pooling, dropout and a linear layer."""

    def __init__(self, channels: int, classes: int = 10) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.2)
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.dropout(torch.flatten(self.pool(x), 1)))
