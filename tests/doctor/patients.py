"""A small healthy network, and ways to make it ill in one layer.

Its weights are well behaved, and its batch norms know the images: their statistics are those of
`photographs`. It has what MobileNets have: depthwise and pointwise layers, ReLU6, a residual sum,
hard-swish and squeeze-excite.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZE = 32


def photographs(count: int, seed: int = 0) -> Tensor:
    """Return [count, 3, 32, 32] smooth images in -1..1: mostly grey, reddish, each of its own."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(count, 3, SIZE, SIZE)
    for cells in (2, 4, 8, 16, 32):
        grey = torch.randn(count, 1, cells, cells, generator=generator)
        colour = torch.randn(count, 3, cells, cells, generator=generator)
        layer = F.interpolate(grey + 0.3 * colour, size=SIZE, mode="bilinear", align_corners=False)
        total += layer * (3.0 / (2.0 + cells)) ** 0.5
    reddish = torch.tensor([0.15, 0.0, -0.45]).reshape(1, 3, 1, 1)
    return (0.35 * total + reddish).clamp(-1.0, 1.0)


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 4, 1)
        self.fc2 = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = F.relu(self.fc1(x.mean((2, 3), keepdim=True)))
        return x * F.hardsigmoid(self.fc2(squeezed))


def conv(inputs: int, outputs: int, kernel: int, groups: int = 1, stride: int = 1) -> nn.Conv2d:
    padding = kernel // 2
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=padding, groups=groups, bias=False)


class Healthy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU6())
        self.depthwise = nn.Sequential(conv(16, 16, 3, 16), nn.BatchNorm2d(16), nn.ReLU6())
        self.expand = nn.Sequential(conv(16, 32, 1), nn.BatchNorm2d(32), nn.Hardswish())
        self.squeeze = SqueezeExcite(32)
        self.project = nn.Sequential(conv(32, 16, 1), nn.BatchNorm2d(16))
        self.head = nn.Sequential(conv(16, 32, 1), nn.BatchNorm2d(32), nn.ReLU6())
        self.classifier = nn.Linear(32, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = self.depthwise(self.stem(images))
        x = x + self.project(self.squeeze(self.expand(x)))
        return self.classifier(self.head(x).mean((2, 3)))


def healthy(seed: int = 0, kind: type[Healthy] = Healthy) -> Healthy:
    """Return the network in eval mode."""
    torch.manual_seed(seed)
    network = kind()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            nn.init.uniform_(module.weight, -1.0, 1.0)
            module.weight.data *= (6.0 / fan_in) ** 0.5
            if module.bias is not None:
                nn.init.uniform_(module.bias, -0.3, 0.3)
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain average over all batches
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.uniform_(module.bias, 0.2, 0.8)
    network.train()
    with torch.no_grad():
        for batch in photographs(256, seed=1).split(64):
            network(batch)
    return network.eval()


def with_unequal_ranges(seed: int = 0) -> Healthy:
    """One channel of `depthwise` comes from tiny inputs, so that its norm scales its kernel up."""
    network = healthy(seed)
    stem, depthwise = network.stem[1], network.depthwise[1]
    with torch.no_grad():
        shrink(stem, 3, 100.0)
        depthwise.running_mean[3] /= 100.0
        depthwise.running_var[3] /= 100.0**2
        depthwise.eps = 1e-12
    return network


def shrink(norm: nn.BatchNorm2d, channel: int, factor: float) -> None:
    """Make one channel behind a norm smaller by a factor."""
    norm.weight[channel] /= factor
    norm.bias[channel] /= factor


def with_dead_channels(seed: int = 0) -> Healthy:
    """Two channels of `stem` are always 0, and `depthwise` has seen no variance in them."""
    network = healthy(seed)
    with torch.no_grad():
        for channel in (2, 7):
            network.stem[1].weight[channel] = 1e-4
            network.stem[1].bias[channel] = -1.0
            network.depthwise[1].running_mean[channel] = 0.0
            network.depthwise[1].running_var[channel] = 0.0
        network.depthwise[1].bias[2] = -0.5
        network.depthwise[1].eps = 1e-4
    return network


def with_outliers(seed: int = 0) -> Healthy:
    """One channel of `project` has a bias far beyond everything else, taken off behind the sum."""
    network = healthy(seed)
    with torch.no_grad():
        network.project[1].bias[5] += 300.0
        network.head[1].running_mean += 300.0 * network.head[0].weight[:, 5, 0, 0]
    return network


def with_relu6_saturation(seed: int = 0) -> Healthy:
    """Most numbers of `depthwise` are cut off at 6."""
    network = healthy(seed)
    with torch.no_grad():
        network.depthwise[1].bias += 6.0
    return network


def with_hard_swish_saturation(seed: int = 0) -> Healthy:
    """The numbers before the hard-swish of `expand` are far from its gate."""
    network = healthy(seed)
    with torch.no_grad():
        network.expand[1].weight *= 15.0
    return network


def with_squeeze_excite_saturation(seed: int = 0) -> Healthy:
    """The gates of `squeeze` are all open or all shut."""
    network = healthy(seed)
    with torch.no_grad():
        network.squeeze.fc2.bias.copy_(torch.tensor([8.0, -8.0]).repeat(16))
    return network


def with_unbalanced_operands(seed: int = 0) -> Healthy:
    """What `project` adds is 50 times smaller than what it is added to."""
    network = healthy(seed)
    with torch.no_grad():
        network.project[1].weight /= 50.0
        network.project[1].bias /= 50.0
    return network


def with_bias_overflow(seed: int = 0) -> Healthy:
    """One row of `squeeze.fc1` is tiny beside its bias."""
    network = healthy(seed)
    with torch.no_grad():
        network.squeeze.fc1.weight[1] *= 1e-8
        network.squeeze.fc1.bias[1] = 2.0
    return network


def with_coarse_bias(seed: int = 0) -> Healthy:
    """In `squeeze.fc2` large products cancel: the step of its biases is wider than its output's."""
    network = healthy(seed)
    with torch.no_grad():
        first, second = network.squeeze.fc1, network.squeeze.fc2
        first.weight[1], first.bias[1] = first.weight[0], first.bias[0]
        second.weight[:, 0], second.weight[:, 1] = 3000.0, -3000.0
        second.weight[:, 2:] = 0.0
    return network


def with_unequal_outputs(seed: int = 0) -> Healthy:
    """One channel of `project` is 100 times wider, its row too; `head` scales it down again."""
    network = healthy(seed)
    with torch.no_grad():
        norm = network.project[1]
        norm.weight[5] *= 100.0
        norm.bias[5] *= 100.0
        network.head[0].weight[:, 5] /= 100.0
        settle(network)
    return network


def with_restless_dead_channel(seed: int = 0) -> Healthy:
    """A channel of `project` that training saw constant moves on images, and far."""
    network = healthy(seed)
    with torch.no_grad():
        norm = network.project[1]
        norm.running_var[5] = 0.0
        norm.weight[5] *= 0.3
        norm.eps = 1e-4
    return network


def settle(network: Healthy) -> None:
    """Let the norm of `head` know what reaches it."""
    norm = network.head[1]
    norm.reset_running_stats()
    norm.train()
    for batch in photographs(256, seed=1).split(64):
        network(batch)
    network.eval()


class Joined(Healthy):
    """Before its head a second branch is concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.side = nn.Sequential(conv(16, 16, 1), nn.BatchNorm2d(16))
        self.head[0] = conv(32, 32, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.depthwise(self.stem(images))
        x = x + self.project(self.squeeze(self.expand(x)))
        return self.classifier(self.head(torch.cat([x, self.side(x)], 1)).mean((2, 3)))


def joined(seed: int = 0) -> Healthy:
    """Return the sound network with a concatenation."""
    return healthy(seed, Joined)


def with_unbalanced_concat(seed: int = 0) -> Healthy:
    """What `side` gives is 50 times smaller than what it is concatenated with."""
    network = joined(seed)
    with torch.no_grad():
        network.side[1].weight /= 50.0
        network.side[1].bias /= 50.0
        network.head[0].weight[:, 16:] *= 50.0
    return network


def with_two_causes(seed: int = 0) -> Healthy:
    """Dead channels in `depthwise`, and one far channel in `project`."""
    network = with_dead_channels(seed)
    with torch.no_grad():
        network.project[1].bias[5] += 300.0
        network.head[1].running_mean += 300.0 * network.head[0].weight[:, 5, 0, 0]
    return network


PER_TENSOR = "w8a8-per-tensor"
PLANTS: list[tuple[Callable[[int], Healthy], str, str, str]] = [
    (with_unequal_ranges, PER_TENSOR, "unequal-channel-ranges", "depthwise.0"),
    (with_dead_channels, PER_TENSOR, "dead-channels", "depthwise.0"),
    (with_unequal_outputs, "w8a8", "unequal-channel-ranges", "project.0"),
    (with_restless_dead_channel, "w8a8", "dead-channels", "project.0"),
    (with_outliers, "w8a8", "outlier-activations", "project.0"),
    (with_relu6_saturation, "w8a8", "relu6-saturation", "depthwise.0"),
    (with_hard_swish_saturation, "w8a8", "hard-swish-saturation", "expand.2"),
    (with_squeeze_excite_saturation, "w8a8", "squeeze-excite-saturation", "squeeze.fc2"),
    (with_unbalanced_operands, "w8a8", "unbalanced-operands", "add"),
    (with_unbalanced_concat, "w8a8", "unbalanced-operands", "concat"),
    (with_bias_overflow, "w8a8", "bias-overflow", "squeeze.fc1"),
    (with_coarse_bias, "w8a8", "bias-step-too-coarse", "squeeze.fc2"),
]
"""Patient, scheme, cause, layer."""
