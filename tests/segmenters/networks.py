"""Small segmenters as users write them: after torchvision, after smp, and those of one channel."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectors.fitting import Spread, fit
from segmenters.scenes import CLASSES, pictures


class Norm(nn.Sequential):
    """Convolution, batch norm, and what comes behind them."""

    def __init__(
        self, channels: int, made: int, kernel: int = 3, *, step: int = 1, dilation: int = 1
    ) -> None:
        around = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(channels, made, kernel, step, around, dilation=dilation, bias=False),
            nn.BatchNorm2d(made),
            nn.ReLU(inplace=True),
        )


class Backbone(nn.Module):
    """Features at a quarter and at an eighth of the size, by the names that heads ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(Norm(3, 8, step=2), Norm(8, 12, step=2))
        self.second = nn.Sequential(Norm(12, 16, step=2), Norm(16, 16))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        low = self.first(x)
        return OrderedDict(low=low, out=self.second(low))


class Segmenter(nn.Module):
    """A backbone, a classifier of its features, and another one that helps training."""

    def __init__(self, classifier: nn.Module, aux_classifier: nn.Module | None) -> None:
        super().__init__()
        self.backbone, self.classifier = Backbone(), classifier
        self.aux_classifier = aux_classifier

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        size = x.shape[-2:]
        features = self.backbone(x)
        result = OrderedDict()
        scores = self.classifier(features["out"])
        result["out"] = F.interpolate(scores, size=size, mode="bilinear", align_corners=False)
        if self.aux_classifier is not None:
            scores = self.aux_classifier(features["low"])
            result["aux"] = F.interpolate(scores, size=size, mode="bilinear", align_corners=False)
        return result


class FcnHead(nn.Sequential):
    """Of a fully convolutional network."""

    def __init__(self, channels: int) -> None:
        super().__init__(Norm(channels, 8), nn.Dropout(0.1), nn.Conv2d(8, CLASSES, 1))


class Pooled(nn.Module):
    """The mean of the whole picture at each of its places."""

    def __init__(self, channels: int, made: int) -> None:
        super().__init__()
        self.pool, self.mix = nn.AdaptiveAvgPool2d(1), Norm(channels, made, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(
            self.mix(self.pool(x)), size=x.shape[-2:], mode="bilinear", align_corners=False
        )


class DeepLabHead(nn.Module):
    """Atrous convolutions beside each other (DeepLabV3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        rates = (2, 3)
        self.convs = nn.ModuleList(
            [
                Norm(channels, 8, 1),
                *(Norm(channels, 8, dilation=rate) for rate in rates),
                Pooled(channels, 8),
            ]
        )
        self.project = nn.Sequential(Norm(32, 12, 1), nn.Dropout(0.5))
        self.end = nn.Sequential(Norm(12, 12), nn.Conv2d(12, CLASSES, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.project(torch.cat([conv(x) for conv in self.convs], dim=1)))


class LrAspp(nn.Module):
    """LR-ASPP: a gate of the whole picture, and a skip of finer features."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.cbr = Norm(16, 12, 1)
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 12, 1, bias=False), nn.Sigmoid()
        )
        self.low_classifier = nn.Conv2d(12, CLASSES, 1)
        self.high_classifier = nn.Conv2d(12, CLASSES, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.backbone(x)
        low, high = features["low"], features["out"]
        gated = self.cbr(high) * self.scale(high)
        gated = F.interpolate(gated, size=low.shape[-2:], mode="bilinear", align_corners=False)
        scores = self.low_classifier(low) + self.high_classifier(gated)
        out = F.interpolate(scores, size=x.shape[-2:], mode="bilinear", align_corners=False)
        return OrderedDict(out=out)


class Unet(nn.Module):
    """An encoder, a decoder with skips, and a head, as segmentation_models_pytorch has them.

    `activation` is what stands behind the head: nn.Identity(), nn.Sigmoid(), nn.Softmax(1), ...
    """

    def __init__(self, channels: int = CLASSES, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.down = nn.ModuleList([Norm(3, 8), Norm(8, 12, step=2), Norm(12, 16, step=2)])
        self.up = nn.ModuleList([Norm(16 + 12, 12), Norm(12 + 8, 8)])
        self.head = nn.Conv2d(8, channels, 3, padding=1)
        self.activation = activation or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        for block, skip in zip(self.up, reversed(skips[:-1]), strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, skip], dim=1))
        return self.activation(self.head(x))


class Indices(nn.Module):
    """A segmenter whose output are the classes themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Unet()

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x).argmax(1)


def fitted(network: nn.Module, seed: int = 0) -> nn.Module:
    """Return a network at which signals keep their size, and each class is somewhere the best."""
    heads = ("classifier", "head", "end.1", "classifier.2")
    wanted = dict.fromkeys(heads, Spread(3.0))
    return fit(network, lambda one: one(pictures(4, seed=seed)), wanted, seed)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "fcn": lambda: fitted(Segmenter(FcnHead(16), FcnHead(12))),
    "deeplabv3": lambda: fitted(Segmenter(DeepLabHead(16), FcnHead(12))),
    "lraspp": lambda: fitted(LrAspp()),
    "unet": lambda: fitted(Unet()),
    "unet_softmax": lambda: fitted(Unet(CLASSES, nn.Softmax(1))),
    "binary_sigmoid": lambda: fitted(Unet(1, nn.Sigmoid())),
    "binary_logits": lambda: fitted(Unet(1)),
}
"""By name; those that give scores."""
