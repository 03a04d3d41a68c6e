"""The bodies of ResNet-50 and ResNet-101: what a detector takes of them, without the classifier.

Source: He et al. 2016, arXiv:1512.03385, table 1; the stride stands in the 3x3 convolution, as in
torchvision, whose key names these are.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from intaglio.zoo.blocks import LINEAR_GAIN, RELU_GAIN, initialize

EXPANSION = 4
FIRST = 64  # channels of the first convolution
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Inner channels, blocks and stride of each stage; a stage puts out four times its channels."""
RESNET101_REPEATS = (3, 4, 23, 3)
LAST_GAIN = 0.3  # of a branch: sixteen of them are added, and the sum is to keep its size


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution with norms, and the input added before the last ReLU.

    Keys: conv1, bn1, conv2, bn2, conv3, bn3; downsample.0 and .1 where the shape changes.
    """

    def __init__(self, in_channels: int, channels: int, *, stride: int) -> None:
        super().__init__()
        out_channels = channels * EXPANSION
        self.conv1, self.bn1 = _conv(in_channels, channels, 1), nn.BatchNorm2d(channels)
        self.conv2 = _conv(channels, channels, 3, stride=stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = _conv(channels, out_channels, 1, gain=LAST_GAIN)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            shortcut = _conv(in_channels, out_channels, 1, stride=stride, gain=LINEAR_GAIN)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(out_channels))

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, 4 * channels, ceil(H / stride), ceil(W / stride)] of [N, C_in, H, W]."""
        branch = self.relu(self.bn1(self.conv1(features)))
        branch = self.relu(self.bn2(self.conv2(branch)))
        branch = self.bn3(self.conv3(branch))
        shortcut = features if self.downsample is None else self.downsample(features)
        summed: Tensor = self.relu(branch + shortcut)
        return summed


def resnet50_layers(width: float = 1.0) -> OrderedDict[str, nn.Module]:
    """Return the layers by their keys, randomly initialized: conv1, bn1, relu, maxpool, layer1..4.

    layer1 has stride 4 to the image and, at width 1, 256 channels; each later one doubles both.
    """
    return _layers(width, tuple(repeats for _, repeats, _ in STAGES))


def resnet101_layers(width: float = 1.0) -> OrderedDict[str, nn.Module]:
    """Return those of ResNet-101: as `resnet50_layers`, with 23 blocks in layer3."""
    return _layers(width, RESNET101_REPEATS)


def _layers(width: float, repeats: tuple[int, ...]) -> OrderedDict[str, nn.Module]:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    in_channels = max(1, int(FIRST * width))
    layers["conv1"] = _conv(3, in_channels, 7, stride=2)
    layers["bn1"] = nn.BatchNorm2d(in_channels)
    layers["relu"] = nn.ReLU()
    layers["maxpool"] = nn.MaxPool2d(3, stride=2, padding=1)
    for number, (base, _, stride) in enumerate(STAGES, 1):
        channels = max(1, int(base * width))
        blocks = []
        for index in range(repeats[number - 1]):
            blocks.append(Bottleneck(in_channels, channels, stride=stride if index == 0 else 1))
            in_channels = channels * EXPANSION
        layers[f"layer{number}"] = nn.Sequential(*blocks)
    return layers


def _conv(
    in_channels: int, out_channels: int, size: int, *, stride: int = 1, gain: float = RELU_GAIN
) -> nn.Conv2d:
    convolution = nn.Conv2d(
        in_channels, out_channels, size, stride=stride, padding=size // 2, bias=False
    )
    initialize(convolution, gain)
    return convolution
