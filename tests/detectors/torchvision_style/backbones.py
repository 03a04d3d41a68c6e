"""Bodies cut at their stages, feature pyramids on them (Lin et al. 2017)."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from detectors.torchvision_style.layers import (
    Bottleneck,
    Conv2dNormActivation,
    FrozenBatchNorm2d,
    InvertedResidual,
    Norm,
)


class IntermediateLayerGetter(nn.ModuleDict):
    """Runs children in order, up to the last that is asked for; returns those that are."""

    def __init__(self, model: nn.Module, return_layers: dict[str, str]) -> None:
        left, layers = set(return_layers), OrderedDict()
        for name, child in model.named_children():
            layers[name] = child
            left.discard(name)
            if not left:
                break
        super().__init__(layers)
        self.return_layers = return_layers

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        out = OrderedDict()
        for name, module in self.items():
            x = module(x)
            if name in self.return_layers:
                out[self.return_layers[name]] = x
        return out


class LastLevelMaxPool(nn.Module):
    """Adds a level: every second pixel of the last."""

    def forward(
        self, p: list[Tensor], c: list[Tensor], names: list[str]
    ) -> tuple[list[Tensor], list[str]]:
        names.append("pool")
        p.append(F.max_pool2d(p[-1], kernel_size=1, stride=2, padding=0))
        return p, names


class LastLevelP6P7(nn.Module):
    """Adds two levels by strided convolutions (Lin et al. 2017, RetinaNet)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.p6 = nn.Conv2d(in_channels, out_channels, 3, 2, 1)
        self.p7 = nn.Conv2d(out_channels, out_channels, 3, 2, 1)
        self.use_P5 = in_channels == out_channels

    def forward(
        self, p: list[Tensor], c: list[Tensor], names: list[str]
    ) -> tuple[list[Tensor], list[str]]:
        p6 = self.p6(p[-1] if self.use_P5 else c[-1])
        p.extend([p6, self.p7(F.relu(p6))])
        names.extend(["p6", "p7"])
        return p, names


class FeaturePyramidNetwork(nn.Module):
    """Lateral 1x1 convolutions, added from the top down, and 3x3 convolutions over each."""

    def __init__(self, widths: list[int], out_channels: int, extra_blocks: nn.Module) -> None:
        super().__init__()
        self.inner_blocks, self.layer_blocks = nn.ModuleList(), nn.ModuleList()
        for width in widths:
            self.inner_blocks.append(
                Conv2dNormActivation(width, out_channels, 1, norm=None, activation=None)
            )
            self.layer_blocks.append(
                Conv2dNormActivation(out_channels, out_channels, norm=None, activation=None)
            )
        self.extra_blocks = extra_blocks

    def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        names, c = list(x.keys()), list(x.values())
        inner = self.inner_blocks[-1](c[-1])
        results = [self.layer_blocks[-1](inner)]
        for index in range(len(c) - 2, -1, -1):
            lateral = self.inner_blocks[index](c[index])
            inner = lateral + F.interpolate(inner, size=lateral.shape[-2:], mode="nearest")
            results.insert(0, self.layer_blocks[index](inner))
        results, names = self.extra_blocks(results, c, names)
        return OrderedDict(zip(names, results, strict=True))


class BackboneWithFPN(nn.Module):
    """A body, then a pyramid; says its width in `out_channels`."""

    def __init__(
        self,
        model: nn.Module,
        return_layers: dict[str, str],
        *,
        widths: list[int],
        out_channels: int,
        extra_blocks: nn.Module,
    ) -> None:
        super().__init__()
        self.body = IntermediateLayerGetter(model, return_layers)
        self.fpn = FeaturePyramidNetwork(widths, out_channels, extra_blocks)
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return self.fpn(self.body(x))


class ResNet(nn.Module):
    """A ResNet of four stages with one block each; its head is there to be cut off."""

    def __init__(self, width: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.widths = [width * 2, width * 3, width * 4, width * 6]
        channels = width
        for index, out_channels in enumerate(self.widths):
            stride = 2 if index else 1
            block = Bottleneck(channels, out_channels // 2, norm=norm, stride=stride)
            self.add_module(f"layer{index + 1}", nn.Sequential(block))
            channels = out_channels
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, 10)


def resnet_fpn(
    stages: tuple[int, ...], extra_blocks: nn.Module, *, width: int = 8, out_channels: int = 16
) -> nn.Module:
    """Return a ResNet with a pyramid on these stages (1 to 4), with frozen norms."""
    body = ResNet(width, FrozenBatchNorm2d)
    return BackboneWithFPN(
        body,
        {f"layer{stage}": str(index) for index, stage in enumerate(stages)},
        widths=[body.widths[stage - 1] for stage in stages],
        out_channels=out_channels,
        extra_blocks=extra_blocks,
    )


def mobilenet_features(norm: Norm) -> nn.Sequential:
    """Return the layers of a small MobileNetV3: strides of 2 at 0, 1, 3, 4 and 6; 32 in all."""
    block = partial(InvertedResidual, norm=norm)
    swish = nn.Hardswish
    return nn.Sequential(
        Conv2dNormActivation(3, 8, stride=2, norm=norm, activation=swish),
        block(8, 16, 8, stride=2, squeezes=True),
        block(8, 24, 8),
        block(8, 24, 12, stride=2),
        block(12, 32, 16, stride=2, squeezes=True, activation=swish),
        block(16, 48, 16, activation=swish),
        block(16, 48, 24, stride=2, squeezes=True, activation=swish),
        block(24, 48, 24, activation=swish),
        Conv2dNormActivation(24, 48, 1, norm=norm, activation=swish),
    )


def mobilenet_fpn(*, out_channels: int = 16) -> nn.Module:
    """Return a MobileNetV3 with a pyramid on its last strided block and its last layer."""
    features = mobilenet_features(FrozenBatchNorm2d)
    cuts = [index for index, layer in enumerate(features) if getattr(layer, "_is_cn", False)]
    at = [cuts[-1], len(features) - 1]
    return BackboneWithFPN(
        features,
        {str(layer): str(index) for index, layer in enumerate(at)},
        widths=[features[layer].out_channels for layer in at],
        out_channels=out_channels,
        extra_blocks=LastLevelMaxPool(),
    )
