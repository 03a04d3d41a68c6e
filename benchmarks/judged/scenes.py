"""Pictures of one coloured shape each, and everything that is true of them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

SHAPES = 5
SIZE = 32
"""Pixels a side of the images; they are drawn at twice as many."""
BACKGROUND = 8.0
"""Depth of the farthest row; a shape is the nearer, the larger it is."""


@dataclass(frozen=True)
class Scenes:
    """N pictures.

    Attributes:
        fine: [N, 3, 64, 64] about -1..1, as they were drawn.
        images: [N, 3, 32, 32], every 2x2 pixels of them averaged.
        shape: [N] int64: disc, square, ring, cross, diamond.
        warm: [N] int64, whether the colour is warm (1) or cold (0).
        centre: [N, 2], x and y in pixels of the images.
        radius: [N], in those pixels.
        mask: [N, 1, 32, 32], 1 inside the shape.
        depth: [N, 1, 32, 32], 1..8.
    """

    fine: Tensor
    images: Tensor
    shape: Tensor
    warm: Tensor
    centre: Tensor
    radius: Tensor
    mask: Tensor
    depth: Tensor

    def part(self, first: int, count: int) -> Scenes:
        """Return `count` of the pictures, from the one numbered `first` on."""
        names = [field.name for field in fields(self)]
        return Scenes(*(getattr(self, name)[first : first + count] for name in names))

    def chosen(self, index: Tensor) -> Scenes:
        """Return the pictures with these numbers, [M] int64."""
        return Scenes(*(getattr(self, field.name)[index] for field in fields(self)))


def draw_scenes(count: int, seed: int) -> Scenes:
    """Return pictures, the same for the same seed."""
    random = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        """Return numbers between two bounds, [N, *shape]."""
        return low + (high - low) * torch.rand((count, *shape), generator=random)

    shape = torch.randint(SHAPES, (count,), generator=random)
    warm = torch.randint(2, (count,), generator=random)
    radius, centre = uniform(4.5, 9.0), uniform(9.0, SIZE - 9.0, 2)
    steps = (torch.arange(2 * SIZE) + 0.5) / 2
    across = (steps.reshape(1, 1, -1) - centre[:, 0].reshape(-1, 1, 1)) / radius.reshape(-1, 1, 1)
    down = (steps.reshape(1, -1, 1) - centre[:, 1].reshape(-1, 1, 1)) / radius.reshape(-1, 1, 1)
    inside = _inside(across, down, shape)[:, None].float()  # [N, 1, 64, 64]
    colours = torch.tensor([[-0.6, 0.1, 0.9], [0.9, 0.2, -0.6]])[warm] + uniform(-0.3, 0.3, 3)
    floor = (uniform(-0.5, 0.1, 3)[..., None, None]) + 0.4 * steps.reshape(1, 1, -1, 1) / SIZE
    fine = floor + inside * (colours[..., None, None] - floor)
    fine = fine + 0.05 * torch.randn(fine.shape, generator=random)
    mask = (functional.avg_pool2d(inside, 2) > 0.5).float()
    rows = BACKGROUND - 3.0 * (torch.arange(SIZE) + 0.5).reshape(1, 1, -1, 1) / SIZE
    near = (18.0 / radius).reshape(-1, 1, 1, 1) - 1.0  # 3 for the smallest, 1 for the largest
    depth = (rows + mask * (near - rows)).expand(-1, -1, -1, SIZE)
    images = functional.avg_pool2d(fine, 2)
    return Scenes(fine, images, shape, warm, centre, radius, mask, depth.contiguous())


def _inside(across: Tensor, down: Tensor, shape: Tensor) -> Tensor:
    """Return [N, H, W] bool, true inside; coordinates are in radii from the centre."""
    square = torch.maximum(across.abs(), down.abs())
    round_ = across.square() + down.square()
    bars = torch.minimum(across.abs(), down.abs()) < 0.35
    forms = [
        round_ < 1.0,
        square < 0.9,
        (round_ < 1.0) & (round_ > 0.35),
        (square < 1.0) & bars,
        across.abs() + down.abs() < 1.1,
    ]
    return torch.stack(forms)[shape, torch.arange(len(shape))]
