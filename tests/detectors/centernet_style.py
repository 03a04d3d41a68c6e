"""A detector laid out as CenterNet (Zhou et al. 2019): a heat map of centres, sizes, offsets."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectors.fitting import Spread, fit
from detectors.pictures import batch

CLASSES = 4
STRIDE = 4
HEADS = {"hm": CLASSES, "wh": 2, "reg": 2}
"""Head to its channels: logits of centres, width and height, where in the pixel the centre is."""


def _conv(channels: int, out_channels: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, out_channels, 3, stride, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]


class CenterNet(nn.Module):
    """Down to a stride of 16, up to 4 by transposed convolutions, three heads: [{name: map}]."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = HEADS
        self.body = nn.Sequential(
            *_conv(3, 8, 2), *_conv(8, 16, 2), *_conv(16, 24, 2), *_conv(24, 32, 2)
        )
        layers: list[nn.Module] = []
        for channels, out_channels in ((32, 24), (24, 16)):
            up = nn.ConvTranspose2d(channels, out_channels, 4, 2, 1, bias=False)
            layers += [up, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]
        self.deconv_layers = nn.Sequential(*layers)
        for head, channels in HEADS.items():
            first = nn.Conv2d(16, 16, 3, padding=1, bias=True)
            last = nn.Conv2d(16, channels, 1, bias=True)
            self.__setattr__(head, nn.Sequential(first, nn.ReLU(inplace=True), last))

    def forward(self, x: Tensor) -> list[dict[str, Tensor]]:
        x = self.deconv_layers(self.body(x))
        return [{head: getattr(self, head)(x) for head in self.heads}]


def decode(maps: dict[str, Tensor], most: int = 40) -> dict[str, Tensor]:
    """Return boxes [N, n, 4], scores [N, n] and labels [N, n]: the highest peaks of 3 x 3."""
    heat = maps["hm"].sigmoid()
    peaks = heat * (F.max_pool2d(heat, 3, stride=1, padding=1) == heat)
    scores, index = peaks.flatten(1).topk(most)
    places = heat.shape[2] * heat.shape[3]
    at = (index % places)[:, None].expand(-1, 2, -1)  # [N, 2, n]
    sizes, offsets = (maps[name].flatten(2).gather(2, at) for name in ("wh", "reg"))
    column, row = at[:, 0] % heat.shape[3], at[:, 0] // heat.shape[3]
    centres = torch.stack((column, row), 1) + offsets
    boxes = torch.cat((centres - sizes / 2, centres + sizes / 2), 1) * STRIDE
    return {"boxes": boxes.transpose(1, 2), "scores": scores, "labels": index // places}


def small_centernet(seed: int = 0) -> nn.Module:
    """Return a detector that takes [N, 3, H, W], with sides that are multiples of 16."""
    wanted = {
        "hm.2": Spread(1.5, (-4.0,)),
        "wh.2": Spread(2.0, (8.0,)),
        "reg.2": Spread(0.2, (0.5,)),
    }
    return fit(CenterNet(), lambda module: module(batch(4, seed=seed + 100)), wanted, seed)
