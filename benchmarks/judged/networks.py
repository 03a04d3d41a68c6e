"""The networks: small, with batch norms, and with a place where a bad twin can be planted."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.judged.scenes import SHAPES, SIZE

ANCHORS = (11.0, 16.0)
"""Sides of the two anchor boxes, in pixels."""
CELL = 4
"""Pixels of a cell of the detectors' finer map."""
CELLS = SIZE // CELL
FACTOR = 300.0
"""How far channels of an inner layer are put apart in a planted network."""

Planted = tuple[nn.BatchNorm2d, nn.Conv2d | nn.Linear]


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution, its batch norm and a ReLU."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class Network(nn.Module):
    """A trunk to 1/4 of the size, [N, 32, 8, 8], and what each kind puts behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(block(3, 16, 2), block(16, 32, 2), block(32, 32))

    def soft_spot(self) -> Planted:
        """Return a batch norm and the layer that alone reads its ReLU."""
        return self.trunk[1][1], self.trunk[2][0]


class Pooled(Network):
    """Means over all places, then numbers: classes, one logit, labels."""

    def __init__(self, outputs: int, *, gated: bool = False) -> None:
        super().__init__()
        self.top, self.head = block(32, 48, 2), nn.Linear(48, outputs)
        self.gated = gated

    def forward(self, x: Tensor) -> Tensor:
        y = self.head(self.top(self.trunk(x)).mean((2, 3)))
        return y.sigmoid() if self.gated else y


class Regression(Network):
    """Four numbers that depend on where something is."""

    def __init__(self) -> None:
        super().__init__()
        self.top, self.thin = block(32, 32, 2), block(32, 8)
        self.head = nn.Linear(8 * 16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.thin(self.top(self.trunk(x))).flatten(1))


class TwoHeads(Network):
    """Shapes [N, 5] beside a place [N, 2]; the soft spot is in the branch of the place."""

    def __init__(self) -> None:
        super().__init__()
        self.top, self.classes = block(32, 48, 2), nn.Linear(48, SHAPES)
        self.near, self.thin = block(32, 24, 2), block(24, 8)
        self.place = nn.Linear(8 * 16, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.trunk(x)
        place = self.place(self.thin(self.near(y)).flatten(1))
        return self.classes(self.top(y).mean((2, 3))), place

    def soft_spot(self) -> Planted:
        """Return it: of two outputs one alone suffers."""
        return self.near[1], self.thin[0]


class Maps(Network):
    """Maps of half or the whole size, made from the trunk and from finer values beside it."""

    def __init__(self, outputs: int, *, whole: bool = False, gated: bool = False) -> None:
        super().__init__()
        self.wide = block(32, 32)
        self.join, self.head = block(48, 16), nn.Conv2d(16, outputs, 3, padding=1)
        self.whole, self.gated = whole, gated

    def forward(self, x: Tensor) -> Tensor:
        fine = self.trunk[0](x)
        coarse = self.wide(self.trunk[2](self.trunk[1](fine)))
        y = self.join(torch.cat([fine, functional.interpolate(coarse, scale_factor=2.0)], 1))
        y = self.head(functional.interpolate(y, scale_factor=2.0) if self.whole else y)
        return y.sigmoid() if self.gated else y


class Larger(nn.Module):
    """A picture of twice the size: each place makes its 2x2 pixels, as a pixel shuffle does.

    It is written as a transposed convolution, the same function: `compress` has no pixel shuffle.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = block(3, 16), block(16, 16)
        self.head = nn.ConvTranspose2d(16, 3, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x)))

    def soft_spot(self) -> Planted:
        """Return a batch norm and the layer that alone reads its ReLU."""
        return self.first[1], self.second[0]


class YoloRaw(Network):
    """Raw maps [N, 2 * (5 + 5), 8, 8]: of each anchor x, y, w, h, objectness, classes."""

    def __init__(self) -> None:
        super().__init__()
        self.top = nn.Sequential(block(32, 32), block(32, 32))
        self.head = nn.Conv2d(32, len(ANCHORS) * (5 + SHAPES), 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.top(self.trunk(x)))


class YoloDecoded(Network):
    """Boxes in pixels (centre, size) beside scores in 0..1, in one tensor [N, 4 + 5, 64].

    The soft spot is in the branch of the scores.
    """

    def __init__(self) -> None:
        super().__init__()
        self.boxes = nn.Sequential(block(32, 32), nn.Conv2d(32, 4, 1))
        self.scores = nn.Sequential(block(32, 32), block(32, 32), nn.Conv2d(32, SHAPES, 1))
        steps = torch.arange(float(CELLS))
        down, across = torch.meshgrid(steps, steps, indexing="ij")
        self.register_buffer("corner", torch.stack([across, down]).reshape(1, 2, CELLS, CELLS))

    def forward(self, x: Tensor) -> Tensor:
        y = self.trunk(x)
        boxes = self.boxes(y).sigmoid()
        centre, size = boxes[:, :2], boxes[:, 2:] * 2.0
        parts = [(centre + self.corner) * CELL, size * size * ANCHORS[0], self.scores(y).sigmoid()]
        return torch.cat([part.flatten(2) for part in parts], 1)

    def soft_spot(self) -> Planted:
        """Return it: of boxes and scores the scores alone suffer."""
        return self.scores[0][1], self.scores[1][0]


class Ssd(Network):
    """Two levels: boxes [N, 80, 4] as offsets and sizes, and class logits [N, 80, 1 + 5].

    The soft spot is in the branch of the boxes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.coarse = block(32, 32, 2)
        self.boxes = nn.ModuleList(self._branch(4) for _ in range(2))
        self.classes = nn.ModuleList(self._branch(1 + SHAPES) for _ in range(2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.trunk(x)
        levels = [fine, self.coarse(fine)]
        return self._joined(self.boxes, levels), self._joined(self.classes, levels)

    def soft_spot(self) -> Planted:
        """Return it: of two outputs one alone suffers."""
        return self.boxes[0][0][1], self.boxes[0][1]

    @staticmethod
    def _branch(outputs: int) -> nn.Sequential:
        return nn.Sequential(block(32, 32), nn.Conv2d(32, outputs, 3, padding=1))

    @staticmethod
    def _joined(branches: nn.ModuleList, levels: list[Tensor]) -> Tensor:
        made = [branch(level) for branch, level in zip(branches, levels, strict=True)]
        flat = [y.permute(0, 2, 3, 1).flatten(1, 2) for y in made]
        return torch.cat(flat, 1)


def plant(network: nn.Module) -> None:
    """Put two channels of the soft spot FACTOR above the others; the float function stays.

    ReLU(c x) = c ReLU(x): what the batch norm makes larger, the next layer's weights take back.
    """
    norm, layer = network.soft_spot()  # type: ignore[operator]
    with torch.no_grad():
        norm.weight[:2] *= FACTOR
        norm.bias[:2] *= FACTOR
        layer.weight[:, :2] /= FACTOR


def trained(
    network: nn.Module, loss: Callable[[Tensor], Tensor], count: int, *, steps: int
) -> nn.Module:
    """Return the network after some steps of Adam, in eval mode.

    Args:
        loss: Of the pictures with these numbers, [M] int64.
        count: How many pictures there are to draw from.
    """
    random = torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(network.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, total_steps=steps)
    network.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss(torch.randint(count, (64,), generator=random)).backward()
        optimizer.step()
        schedule.step()
    return network.eval()
