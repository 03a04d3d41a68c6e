"""A segmenter that is right without training: each pixel is of the class of the nearest colour."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intaglio.maps.postprocess import MapPostProcess
from segmenters.scenes import CLASSES, COLOURS, NAMES

SHARP = 8.0


class Nearest(nn.Module):
    """-|x - colour|^2 but for what is the same for all classes: 2 x colour - |colour|^2."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, classes, 1)
        colours = torch.from_numpy(COLOURS[:classes]) / 255
        with torch.no_grad():
            self.first.weight[:3] = 0.1 * torch.eye(3)[:, :, None, None]
            self.first.weight[:3, :, 1, 1] = 0.2 * torch.eye(3)
            self.first.bias.zero_()
            self.second.weight.zero_()
            self.second.weight[:, :3, 0, 0] = 2 * SHARP * colours
            self.second.bias.copy_(-SHARP * colours.square().sum(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).relu())


class Named(Nearest):
    """One that says what its classes are called."""

    def postprocess(self, input_size: tuple[int, int]) -> MapPostProcess:
        return MapPostProcess(CLASSES, names=NAMES)


class Red(nn.Module):
    """What is red, as a probability of one channel; or its logit."""

    def __init__(self, *, is_sure: bool = True) -> None:
        super().__init__()
        self.network, self.is_sure = Nearest(2), is_sure

    def forward(self, x: Tensor) -> Tensor:
        scores = self.network(x)
        logit = scores[:, 1:] - scores[:, :1]
        return logit.sigmoid() if self.is_sure else logit


class Classes(Nearest):
    """The classes themselves, [N, H, W]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).argmax(1)


def nearest() -> nn.Module:
    return Nearest().eval()


def named() -> nn.Module:
    return Named().eval()


def three() -> nn.Module:
    return Nearest(3).eval()


def red() -> nn.Module:
    return Red().eval()


def red_logits() -> nn.Module:
    return Red(is_sure=False).eval()


def indices() -> nn.Module:
    return Classes().eval()


def untrained() -> nn.Module:
    """Return one that knows nothing yet."""
    network = Nearest()
    nn.init.normal_(network.second.weight, std=0.1)
    nn.init.zeros_(network.second.bias)
    return network.eval()


def damaged() -> nn.Module:
    """Return one with a channel that is a thousand times as large as it need be."""
    network = Nearest()
    with torch.no_grad():
        network.first.weight[0] *= 1000
        network.second.weight[:, 0] /= 1000
    return network.eval()
