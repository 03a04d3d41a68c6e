"""Small networks ready to be tuned."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from calibrate.planned import plan_of
from intaglio.calibrate import CALIBRATORS, choose_encodings, observe_ranges
from intaglio.methods.steps.state import Context, Prepared, Quantized
from intaglio.numerics.affine import params_from_range
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.spec import QuantParams, QuantSpec
from intaglio.passes.canonicalize import canonicalize
from intaglio.read.module.export import capture
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.lower.lower import lower


def separable(seed: int = 0) -> nn.Module:
    """Return a small network with a strided, a depthwise, pointwise layers, a sum, a classifier."""

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.expand = nn.Conv2d(8, 24, 1)
            self.depthwise = nn.Conv2d(24, 24, 3, padding=1, groups=24)
            self.project = nn.Conv2d(24, 8, 1)

        def forward(self, x: Tensor) -> Tensor:
            inner = nn.functional.relu6(self.depthwise(nn.functional.relu6(self.expand(x))))
            return x + self.project(inner)

    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.ReLU6(),
        Residual(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    ).eval()


def random_images(count: int, size: int = 16, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, size // 4, size // 4, generator=generator)
    return nn.functional.interpolate(coarse, size=size, mode="bilinear")


def calibrated(
    scheme: str = "w8a8", *, module: nn.Module | None = None, images: Tensor | None = None
) -> tuple[Quantized, Context]:
    """Return a calibrated state of a network, and a context with its tuning images."""
    images = random_images(24) if images is None else images
    graph = capture(module or separable(), images[:1])
    canonicalize(graph)
    lower(graph)
    plan = plan_of(graph, LITERT, scheme)
    ranges = observe_ranges(graph, plan, [images], calibrator=CALIBRATORS["minmax"])
    encodings = choose_encodings(graph, plan, ranges, LITERT)
    return Quantized(Prepared(graph, graph), plan, encodings), Context(images, LITERT)


def with_activation_bits(state: Quantized, bits: int) -> Quantized:
    """Return the state with the same ranges on grids of so many bits, which no scheme holds."""

    def widened(grid: QuantParams) -> QuantParams:
        low, high = (grid.scale * (end - grid.zero) for end in (grid.spec.qmin, grid.spec.qmax))
        return params_from_range(low, high, QuantSpec(bits=bits))

    grids = {name: widened(grid) for name, grid in state.encodings.activations.items()}
    return replace(state, encodings=Encodings(grids, state.encodings.weights))
