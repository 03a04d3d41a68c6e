"""What aarch64.py runs: a network for each kind of work, and whole ones."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import intaglio
from benchmarks.places import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests"))
from architectures.catalogue import architectures, images

SAMPLES = 12
"""Networks a kind."""
CHANNELS = 16
SLOPES = torch.linspace(-0.5, 1.8, CHANNELS)
ORDER = torch.tensor([3, 0, 2, 5, 1, 4, 8, 7, 6])
WHOLE = ("vocabulary", "mobilevit", "convnext", "pool_forms", "nasnet", "shufflenet_v2", "edsr")


class Sample(nn.Module):
    """A convolution, one kind of work, a convolution."""

    def __init__(self, work: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, CHANNELS, 3, padding=1), nn.LazyConv2d(8, 1)
        self.work = work

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps of the last convolution."""
        return self.last(self.work(self.first(x)))


ELEMENTWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "product": lambda x: x * x[:, :, :1, :1],
    "square": lambda x: x * x,
    "sum": lambda x: x + 0.3 - x[:, :1],
    "quotient": lambda x: x / (1 + x.abs()),
    "larger": lambda x: torch.maximum(x, x.amax(1, keepdim=True) - 1),
    "smaller": lambda x: torch.minimum(x, x.flip(1)),
}
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": F.silu,
    "hard-swish": F.hardswish,
    "leaky relu": lambda x: F.leaky_relu(x, 0.1),
    "elu": F.elu,
    "exp": lambda x: torch.exp(x.clamp(max=2)),
    "gelu": F.gelu,
    "tanh's gelu": lambda x: F.gelu(x, approximate="tanh"),
    "mish": F.mish,
    "stored table": lambda x: torch.log1p(x.abs()).sqrt(),
    "prelu": lambda x: F.prelu(x, SLOPES.to(x)),
    "prelu of one slope": lambda x: F.prelu(x, SLOPES[:1].to(x)),
}
REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda x: x.mean((2, 3), keepdim=True),
    "mean of channels": lambda x: x.mean(1, keepdim=True),
    "largest": lambda x: x - x.amax((2, 3), keepdim=True),
    "largest of channels": lambda x: x - x.amax(1, keepdim=True),
    "softmax": lambda x: x * torch.softmax(x, 1),
    "softmax of pixels": lambda x: x * torch.softmax(x, 3),
    "product of values": lambda x: (
        x.flatten(2) @ x.flatten(2).transpose(1, 2) @ x.flatten(2)
    ).view_as(x),
    "attention": lambda x: (
        F.scaled_dot_product_attention(*(x.flatten(2).transpose(1, 2)[:, None],) * 3)[:, 0]
        .transpose(1, 2)
        .reshape(x.shape)
    ),
    "group norm": lambda x: F.group_norm(x, 4),
    "instance norm": F.instance_norm,
    "layer norm": lambda x: F.layer_norm(x.movedim(1, 3), (CHANNELS,)).movedim(3, 1),
    "rms norm": lambda x: x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-6),
}
POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "padded max pool": lambda x: F.max_pool2d(x, 3, 2, 1),
    "dilated max pool": lambda x: F.max_pool2d(x, 2, 1, 1, dilation=2),
    "max pool with gaps": lambda x: F.max_pool2d(x, 2, 3),
    "average pool": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "large average pool": lambda x: F.avg_pool2d(x, (9, 9), 1),
    "uncounted average pool": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "uneven adaptive pool": lambda x: F.adaptive_avg_pool2d(x, (4, 5)),
    "uneven adaptive max pool": lambda x: F.adaptive_max_pool2d(x, (4, 5)),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "bilinear to a size": lambda x: F.interpolate(x, size=(7, 67), mode="bilinear"),
    "bilinear by a factor": lambda x: F.interpolate(x, scale_factor=1.3, mode="bilinear"),
    "nearest": lambda x: F.interpolate(x, size=(11, 40)),
    "nearest by a factor": lambda x: F.interpolate(x, scale_factor=1.3),
}
MOVES: dict[str, Callable[[Tensor], Tensor]] = {
    "joined": lambda x: torch.cat([torch.sigmoid(x), x, torch.tanh(x)], 1),
    "taken rows": lambda x: x[:, :, ORDER],
    "taken channels": lambda x: x.sigmoid()[:, ORDER],
    "padded": lambda x: F.pad(x, (1, 2, 2, 1)),
    "padded with a number": lambda x: F.pad(x, (1, 2, 2, 1), value=-1.5),
    "reflected": lambda x: F.pad(x, (1, 2, 2, 1), mode="reflect"),
    "repeated at the ends": lambda x: F.pad(x, (1, 2, 2, 1), mode="replicate"),
    "pixel shuffle": lambda x: F.pixel_shuffle(x, 2),
    "pixel shuffle of a sum": lambda x: F.pixel_shuffle(x + x.flip(1), 4),
    "pixel unshuffle": lambda x: F.pixel_unshuffle(x[:, :, :8], 2),
    "channel shuffle": lambda x: F.channel_shuffle(x.sigmoid(), 4),
}
WORK = {**ELEMENTWISE, **FUNCTIONS, **REDUCTIONS, **POOLS, **MOVES}


def networks() -> Iterator[tuple[str, nn.Module, Tensor]]:
    """Yield name, module and images: samples of each kind of work, and whole networks."""
    for kind, work in WORK.items():
        for seed in range(SAMPLES):
            torch.manual_seed(seed)
            pixels = torch.randn(4, 3, 9 + seed, 16) * 2.0 ** torch.randn(())
            module = Sample(work).eval()
            module(pixels)
            yield f"{kind}-{seed}", module, pixels
    for name in WHOLE:
        build, shape = architectures()[name]
        yield f"{name}-0", build(), images(shape, 4)
    for name in ("mobilenet_v3_small", "mobilenet_v3_large", "mobilenet_v2"):
        torch.manual_seed(0)
        yield f"{name}-0", getattr(intaglio.zoo, name)().eval(), torch.randn(4, 3, 96, 96)
