"""Thirty sound networks: random weights, and batch-norm statistics of the images that come.

Public definitions where their packages are installed (a list beside the data pack names them), then
the zoo's at several widths and seeds, then plain ones from here.
"""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.places import DATA
from intaglio.read.named import build_model, parse_model

COUNT = 30
PUBLIC = DATA.parent / "tools" / "real_networks"
"""Where a module `networks` lists public definitions, SPECS; none are taken where there is none."""

EVERY = 6
"""Of the public definitions for classification each sixth, so that families do not repeat."""

ZOO = [
    f"{name}(width={width})"
    for name in ("mobilenet_v1", "mobilenet_v2", "mobilenet_v1_tf", "mobilenet_v2_tf")
    for width in (0.25, 0.5, 1.0)
] + [
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "resnet20_cifar10",
]


@dataclass(frozen=True)
class Sound:
    """A network and the shape [C, H, W] of its images."""

    name: str
    shape: tuple[int, int, int]
    build: Callable[[], nn.Module]


def sound_networks() -> Iterator[tuple[Sound, nn.Module]]:
    """Yield COUNT networks in eval mode that are sound for `random_images`."""
    built = ((sound, _settled(sound)) for sound in itertools.chain(_public(), _own()))
    known = ((sound, network) for sound, network in built if network is not None)
    yield from itertools.islice(known, COUNT)


def random_images(shape: tuple[int, int, int], count: int, seed: int) -> Tensor:
    """Return [count, C, H, W] smooth images with some noise, every channel of its own."""
    generator = torch.Generator().manual_seed(seed)
    channels, height, width = shape
    cells = (max(2, height // 16), max(2, width // 16))
    low = torch.randn(count, channels, *cells, generator=generator)
    smooth = F.interpolate(low, size=(height, width), mode="bilinear")
    return smooth + 0.4 * torch.randn(count, *shape, generator=generator)


def _settled(sound: Sound) -> nn.Module | None:
    """Return the network with statistics of random images; None where it cannot be built."""
    torch.manual_seed(0)
    try:
        network = sound.build()
    except (ImportError, RuntimeError, TypeError, ValueError, AttributeError):
        return None
    generator = torch.Generator().manual_seed(1)
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    network.eval()
    for norm in norms:
        if norm.affine:
            nn.init.uniform_(norm.weight, 0.6, 1.4, generator=generator)
            nn.init.normal_(norm.bias, 0.0, 0.2, generator=generator)
        norm.reset_running_stats()
        norm.momentum = None  # the plain average over all batches
        norm.train()
    with torch.no_grad():
        for batch in range(2):
            network(random_images(sound.shape, 4, 100 + batch))
    return network.eval()


def _public() -> Iterator[Sound]:
    if not (PUBLIC / "networks.py").is_file():
        return
    sys.path.insert(0, str(PUBLIC))
    specs = importlib.import_module("networks").SPECS
    for spec in [spec for spec in specs if spec["task"] == "classification"][::EVERY]:
        size = spec["size"] if isinstance(spec["size"], tuple) else (spec["size"],) * 2
        yield Sound(spec["name"], (spec["channels"], *size), spec["build"])


def _own() -> Iterator[Sound]:
    for name in ZOO:
        yield Sound(name, (3, 64, 64), lambda name=name: build_model(parse_model(name)).module)
    for kind, width in itertools.product(KINDS, (8, 16, 32)):
        yield Sound(f"{kind}({width})", (3, 48, 48), lambda k=kind, w=width: _plain(k, w))


def _plain(kind: str, width: int) -> nn.Module:
    body = [KINDS[kind](width), KINDS[kind](width)]
    stem = _conv(3, width, stride=2)
    return nn.Sequential(stem, *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


def _conv(
    inputs: int, outputs: int, *, size: int = 3, stride: int = 1, act: bool = True
) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    layers = [convolution, nn.BatchNorm2d(outputs), *([nn.ReLU()] if act else [])]
    return nn.Sequential(*layers)


class Residual(nn.Module):
    """Two convolutions beside a sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(_conv(width, width), _conv(width, width, act=False))

    def forward(self, x: Tensor) -> Tensor:
        """Return what is as large as the input."""
        return F.relu(x + self.branch(x))


class Branches(nn.Module):
    """Kernels of three sizes side by side, concatenated."""

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = {1: width // 2, 3: width // 4, 5: width // 4}
        self.branches = nn.ModuleList(_conv(width, n, size=size) for size, n in sizes.items())

    def forward(self, x: Tensor) -> Tensor:
        """Return what is as large as the input."""
        return torch.cat([branch(x) for branch in self.branches], 1)


class Dense(nn.Module):
    """What every layer makes stays beside its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.grow, self.mix = _conv(width, width), _conv(2 * width, width, size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return what is as large as the input."""
        return self.mix(torch.cat([x, self.grow(x)], 1))


class Gated(nn.Module):
    """Hard-swish and squeeze-excite beside a sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.expand = _conv(width, 2 * width, size=1, act=False)
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(2 * width, width // 2, 1), nn.ReLU()
        )
        self.excite = nn.Sequential(nn.Conv2d(width // 2, 2 * width, 1), nn.Sigmoid())
        self.project = _conv(2 * width, width, size=1, act=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return what is as large as the input."""
        wide = F.hardswish(self.expand(x))
        return x + self.project(wide * self.excite(self.squeeze(wide)))


class Pooled(nn.Module):
    """As VGG: convolutions and a maximum, without a branch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(_conv(width, width), _conv(width, width), nn.MaxPool2d(2))

    def forward(self, x: Tensor) -> Tensor:
        """Return half the height and width."""
        return self.layers(x)


KINDS: dict[str, Callable[[int], nn.Module]] = {
    "residual": Residual,
    "branches": Branches,
    "dense": Dense,
    "gated": Gated,
    "pooled": Pooled,
}
