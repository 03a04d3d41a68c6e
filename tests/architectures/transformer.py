"""Attention beside convolutions: what intaglio has no ops for yet must replay as opaque nodes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from architectures.blocks import Classifier, conv_norm


class Attention(nn.Module):
    """Single-head attention over the pixels of a map, with a class token."""

    def __init__(self, channels: int, pixels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.project = nn.Linear(channels, channels)
        self.class_token = nn.Parameter(torch.randn(1, 1, channels))
        self.position = nn.Parameter(torch.randn(1, pixels + 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)  # [N, H * W, C]
        token = self.class_token.expand(x.shape[0], -1, -1)
        tokens = torch.cat([token, tokens], dim=1) + self.position
        q, k, v = self.qkv(self.norm(tokens)).chunk(3, dim=-1)
        weights = torch.softmax(q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5, dim=-1)
        return tokens + self.project(weights @ v)


class MobileVit(nn.Module):
    """A stem with a manual hard-swish, attention, and a head on the class token."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_norm(3, 8, 3, stride=2, activation=None)
        self.down = conv_norm(8, 12, 3, stride=2, activation=nn.SiLU)
        self.attention = Attention(12, 64)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x * F.relu6(x + 3) / 6
        return self.head(self.attention(self.down(x))[:, 0])


class ConvNextBlock(nn.Module):
    """Layer norm, GELU, and a stored scale for each channel (Liu et al. 2022)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.expand = nn.Linear(channels, 4 * channels)
        self.reduce = nn.Linear(4 * channels, channels)
        self.layer_scale = nn.Parameter(torch.rand(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(x).permute(0, 2, 3, 1)  # [N, H, W, C]
        y = self.reduce(F.gelu(self.expand(self.norm(y)))).permute(0, 3, 1, 2)
        return x + self.layer_scale * y


def convnext() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 4, 4), ConvNextBlock(8), Classifier(8))
