"""Pictures that detectors find something in: rectangles of plain colours over a rough ground."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIZES = ((96, 128), (100, 80), (64, 64), (90, 140))
"""Heights and widths of `example`, in turn."""


def picture(height: int, width: int, *, seed: int) -> Tensor:
    """Return [3, height, width] in 0..1."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((1, 3, 6, 6), generator=generator)
    ground = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)[0]
    for _ in range(6):
        top, left, tall, wide = torch.rand(4, generator=generator).tolist()
        rows = slice(int(top * height), int(top * height) + 6 + int(tall * height / 2))
        columns = slice(int(left * width), int(left * width) + 6 + int(wide * width / 2))
        ground[:, rows, columns] = torch.rand((3, 1, 1), generator=generator)
    noise = torch.randn((3, height, width), generator=generator)
    return (ground + 0.05 * noise).clamp(0, 1)


def pictures(count: int, size: tuple[int, int] | None = None, *, seed: int = 0) -> list[Tensor]:
    """Return pictures [3, h, w]: of one size, or of the sizes of SIZES in turn."""
    sizes = [size or SIZES[index % len(SIZES)] for index in range(count)]
    return [picture(*each, seed=seed + index) for index, each in enumerate(sizes)]


def example(count: int = 2, size: tuple[int, int] | None = None, *, seed: int = 0) -> list[Tensor]:
    """Return the pictures that a detector is called with; all of one size where one is given."""
    return pictures(count, size, seed=seed)


def batch(count: int, *, seed: int = 0) -> Tensor:
    """Return [count, 3, 96, 128], for networks that take one tensor."""
    return torch.stack(pictures(count, (96, 128), seed=seed))
