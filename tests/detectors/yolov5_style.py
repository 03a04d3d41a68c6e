"""A detector laid out as YOLOv5: three anchors a place, sigmoids decoded inside forward()."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detectors.fitting import Spread, fit
from detectors.pictures import batch
from detectors.yolo_layers import C3, Conv, Layered, path_aggregation

CLASSES = 4
WIDTHS = (16, 24, 32)
STRIDES = (8, 16, 32)
ANCHORS = ((10, 13, 16, 30, 33, 23), (30, 61, 62, 45, 59, 80), (80, 60, 90, 90, 110, 80))
"""Widths and heights in pixels, three pairs a level."""


class Detect(nn.Module):
    """All boxes [N, P, 5 + K] (centre, size, objectness, classes), and the raw maps in a list."""

    def __init__(self, classes: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.nc, self.no = classes, classes + 5
        self.nl, self.na = len(ANCHORS), len(ANCHORS[0]) // 2
        self.stride = torch.tensor(STRIDES, dtype=torch.float)
        self.grid = [torch.empty(0) for _ in range(self.nl)]
        self.anchor_grid = [torch.empty(0) for _ in range(self.nl)]
        pixels = torch.tensor(ANCHORS, dtype=torch.float).view(self.nl, -1, 2)
        self.register_buffer("anchors", pixels / self.stride.view(-1, 1, 1))
        self.m = nn.ModuleList([nn.Conv2d(width, self.no * self.na, 1) for width in widths])

    def forward(self, x: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        decoded = []
        for index in range(self.nl):
            x[index] = self.m[index](x[index])
            count, _, rows, columns = x[index].shape
            x[index] = x[index].view(count, self.na, self.no, rows, columns)
            x[index] = x[index].permute(0, 1, 3, 4, 2).contiguous()  # [N, A, H, W, 5 + K]
            if self.grid[index].shape[2:4] != x[index].shape[2:4]:
                self.grid[index], self.anchor_grid[index] = self._make_grid(index, rows, columns)
            xy, wh, likely = x[index].sigmoid().split((2, 2, self.nc + 1), 4)
            xy = (xy * 2 + self.grid[index]) * self.stride[index]
            wh = (wh * 2) ** 2 * self.anchor_grid[index]
            places = self.na * rows * columns
            decoded.append(torch.cat((xy, wh, likely), 4).view(count, places, self.no))
        return torch.cat(decoded, 1), x

    def _make_grid(self, index: int, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """Return the places less a half, and the anchors in pixels: [1, A, H, W, 2]."""
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        shape = 1, self.na, rows, columns, 2
        grid = torch.stack((x, y), 2).expand(shape) - 0.5
        anchors = (self.anchors[index] * self.stride[index]).view(1, self.na, 1, 1, 2)
        return grid, anchors.expand(shape)


def small_yolov5(seed: int = 0) -> nn.Module:
    """Return a detector that takes [N, 3, H, W], with sides that are multiples of 32."""
    stem = Conv(3, 8, 6, 2, padding=2)
    layers = path_aggregation(C3, stem, Detect(CLASSES, WIDTHS))
    means = (0.0, 0.0, 0.0, 0.0, -3.0, *(0.0,) * CLASSES)
    wanted = {f"22.m.{level}": Spread(1.4, means) for level in range(len(WIDTHS))}
    return fit(Layered(layers), lambda module: module(batch(4, seed=seed + 100)), wanted, seed)
