"""MobileNetV2 1.0 from nothing but plain modules of torch, so that every tool understands it.

The same function as `intaglio.zoo.mobilenet_v2_tf`, with the same keys. What the zoo's own padding
module does is a ZeroPad2d here: tools replace torch.nn.Conv2d by type and would pass over a
subclass. The workbench compares the outputs with those of the zoo's network before it starts.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

# Expansion factor, output channels, repeats and first stride of each stage.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
NORM_EPS = 1e-3  # TensorFlow's


def mobilenet_v2(weights: Path) -> MobileNetV2:
    """Return the network with the weights of a safetensors file, in eval mode.

    Raises:
        RuntimeError: If keys or shapes differ, other than missing batch counters.
    """
    network = MobileNetV2()
    given = load_file(weights)
    counters = [key for key in network.state_dict() if key.endswith("num_batches_tracked")]
    network.load_state_dict({key: network.state_dict()[key] for key in counters} | given)
    return network.eval()


class MobileNetV2(nn.Module):
    """Images [N, 3, 224, 224], RGB / 127.5 - 1, to logits [N, 1000]."""

    def __init__(self) -> None:
        super().__init__()
        channels = 32
        layers: list[nn.Module] = [layer(3, channels, kernel=3, stride=2)]
        for expansion, out_channels, repeats, first_stride in STAGES:
            for index in range(repeats):
                stride = first_stride if index == 0 else 1
                layers.append(Block(channels, out_channels, stride=stride, expansion=expansion))
                channels = out_channels
        layers.append(layer(channels, 1280))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 1000))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [N, 1000]."""
        logits: Tensor = self.classifier(self.flatten(self.avgpool(self.features(images))))
        return logits


class Block(nn.Module):
    """Expand, filter each channel, project; add the input where it fits."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [layer(in_channels, hidden)]
        layers.append(layer(hidden, hidden, kernel=3, stride=stride, groups=hidden))
        layers.append(nn.Conv2d(hidden, out_channels, 1, bias=False))
        layers.append(nn.BatchNorm2d(out_channels, eps=NORM_EPS))
        self.conv = nn.Sequential(*layers)
        self.add = Sum() if stride == 1 and in_channels == out_channels else None

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, C_out, ceil(H / stride), ceil(W / stride)] of [N, C_in, H, W]."""
        projected: Tensor = self.conv(features)
        return projected if self.add is None else self.add(features, projected)


class Sum(nn.Module):
    """A sum as a module of its own: some tools quantize the outputs of modules alone."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the sum of two tensors of one shape."""
        return first + second


def layer(
    in_channels: int, out_channels: int, *, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Return convolution, batch norm and ReLU6, padded as TensorFlow's SAME does even sizes."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if stride == 2:
        parts["pad"] = nn.ZeroPad2d((0, 1, 0, 1))
    parts["0"] = nn.Conv2d(
        in_channels,
        out_channels,
        kernel,
        stride=stride,
        padding=kernel // 2 if stride == 1 else 0,
        groups=groups,
        bias=False,
    )
    parts["1"] = nn.BatchNorm2d(out_channels, eps=NORM_EPS)
    parts["2"] = nn.ReLU6()
    return nn.Sequential(parts)
