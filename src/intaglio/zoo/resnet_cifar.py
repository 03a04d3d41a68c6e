"""ResNet-20 for 32x32 images, with shortcuts that have no parameters.

Source: He et al. 2016, arXiv:1512.03385, section 4.2, shortcut option A.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intaglio.zoo.blocks import RELU_GAIN, check_num_classes, initialize, linear


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with norms, and the input added before the last ReLU.

    Where the block changes the shape, the shortcut keeps every second pixel and puts half of the
    new channels, as zeros, before the old ones and half behind.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(in_channels, out_channels, stride=stride)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = _conv3x3(out_channels, out_channels, stride=1)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.stride = stride
        self.new_channels = out_channels - in_channels

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, out_channels, H / stride, W / stride] of [N, in_channels, H, W]."""
        branch = self.relu(self.bn1(self.conv1(features)))
        branch = self.bn2(self.conv2(branch))
        summed: Tensor = self.relu(branch + self._shortcut(features))
        return summed

    def _shortcut(self, features: Tensor) -> Tensor:
        if self.stride == 1 and self.new_channels == 0:
            return features
        before = self.new_channels // 2
        kept = features[:, :, :: self.stride, :: self.stride]
        return F.pad(kept, (0, 0, 0, 0, before, self.new_channels - before))


class ResNetCifar(nn.Module):
    """The network: images [N, 3, 32, 32] to logits [N, num_classes].

    Keys: conv1, bn1, layer{1,2,3}.k.{conv1,bn1,conv2,bn2}, linear.
    """

    def __init__(self, *, blocks_per_stage: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(3, 16, stride=1)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1 = _stage(16, 16, stride=1, blocks=blocks_per_stage)
        self.layer2 = _stage(16, 32, stride=2, blocks=blocks_per_stage)
        self.layer3 = _stage(32, 64, stride=2, blocks=blocks_per_stage)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = linear(64, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [N, num_classes] of `images` [N, 3, 32, 32]."""
        features = self.relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        pooled = self.avgpool(features)  # [N, 64, 1, 1]
        logits: Tensor = self.linear(torch.flatten(pooled, 1))
        return logits


def resnet20_cifar10(num_classes: int = 10) -> ResNetCifar:
    """Return a randomly initialized ResNet-20 for 32x32 images.

    Raises:
        RequestError: If `num_classes` is no integer >= 1.
    """
    check_num_classes("resnet20_cifar10", num_classes)
    return ResNetCifar(blocks_per_stage=3, num_classes=num_classes)


def _conv3x3(in_channels: int, out_channels: int, *, stride: int) -> nn.Conv2d:
    convolution = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
    initialize(convolution, RELU_GAIN)
    return convolution


def _stage(in_channels: int, out_channels: int, *, stride: int, blocks: int) -> nn.Sequential:
    first = BasicBlock(in_channels, out_channels, stride=stride)
    rest = (BasicBlock(out_channels, out_channels, stride=1) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)
