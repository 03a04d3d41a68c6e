"""Boxes that heads speak of: those of RPN, RetinaNet and FCOS, and the default boxes of SSD."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from detectors.torchvision_style.transform import ImageList


def _shifts(rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Return y [H * W] and x [H * W] of each place of a map, row by row."""
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return y.reshape(-1), x.reshape(-1)


class AnchorGenerator(nn.Module):
    """Every size in every aspect ratio (height / width) at each place of each map."""

    def __init__(
        self, sizes: tuple[tuple[int, ...], ...], aspect_ratios: tuple[tuple[float, ...], ...]
    ) -> None:
        super().__init__()
        self.sizes, self.aspect_ratios = sizes, aspect_ratios
        self.cell_anchors = [
            self.generate_anchors(scales, ratios)
            for scales, ratios in zip(sizes, aspect_ratios, strict=True)
        ]

    def generate_anchors(self, scales: tuple[int, ...], ratios: tuple[float, ...]) -> Tensor:
        """Return [ratios * scales, 4] around (0, 0), in whole pixels."""
        root = torch.tensor(ratios, dtype=torch.float32).sqrt()
        lengths = torch.tensor(scales, dtype=torch.float32)
        height = (root[:, None] * lengths).reshape(-1)
        width = (lengths / root[:, None]).reshape(-1)
        return (torch.stack((-width, -height, width, height), dim=1) / 2).round()

    def num_anchors_per_location(self) -> list[int]:
        """Return how many anchors each place has, map by map."""
        return [len(s) * len(r) for s, r in zip(self.sizes, self.aspect_ratios, strict=True)]

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        height, width = image_list.tensors.shape[-2:]
        of_maps = []
        for feature, cell in zip(feature_maps, self.cell_anchors, strict=True):
            rows, columns = feature.shape[-2:]
            y, x = _shifts(
                torch.arange(rows) * torch.tensor(height // rows),
                torch.arange(columns) * torch.tensor(width // columns),
            )
            moved = torch.stack((x, y, x, y), dim=1)[:, None] + cell[None]  # [HW, A, 4]
            of_maps.append(moved.reshape(-1, 4))
        return [torch.cat(of_maps) for _ in image_list.image_sizes]


class DefaultBoxGenerator(nn.Module):
    """The default boxes of SSD (Liu et al. 2016, section 2.2), as shares of the image."""

    def __init__(
        self,
        aspect_ratios: list[list[int]],
        min_ratio: float = 0.15,
        max_ratio: float = 0.9,
        *,
        steps: list[int] | None = None,
        clip: bool = True,
    ) -> None:
        super().__init__()
        self.aspect_ratios, self.steps, self.clip = aspect_ratios, steps, clip
        last = len(aspect_ratios) - 1
        growth = (max_ratio - min_ratio) / last
        self.scales = [min_ratio + growth * k for k in range(last + 1)] + [1.0]
        self._wh_pairs = [self._sizes(k) for k in range(last + 1)]

    def _sizes(self, k: int) -> Tensor:
        """Return [A, 2]: width and height of the boxes of map k."""
        scale, between = self.scales[k], math.sqrt(self.scales[k] * self.scales[k + 1])
        sizes = [(scale, scale), (between, between)]
        for ratio in self.aspect_ratios[k]:
            wide, narrow = scale * math.sqrt(ratio), scale / math.sqrt(ratio)
            sizes += [(wide, narrow), (narrow, wide)]
        return torch.tensor(sizes)

    def num_anchors_per_location(self) -> list[int]:
        """Return how many boxes each place has, map by map."""
        return [2 + 2 * len(ratios) for ratios in self.aspect_ratios]

    def _grid_default_boxes(self, grid_sizes: list[tuple[int, int]], size: Tensor) -> Tensor:
        """Return [P, 4]: x and y of the centre, width, height, as shares."""
        boxes = []
        for k, (rows, columns) in enumerate(grid_sizes):
            per_row, per_column = rows, columns
            if self.steps is not None:
                per_column, per_row = (float(length) / self.steps[k] for length in size)
            y, x = _shifts(
                (torch.arange(rows) + 0.5) / per_row, (torch.arange(columns) + 0.5) / per_column
            )
            sizes = self._wh_pairs[k].clamp(0, 1) if self.clip else self._wh_pairs[k]
            centres = torch.stack((x, y), dim=1).repeat_interleave(len(sizes), dim=0)
            boxes.append(torch.cat((centres, sizes.repeat(rows * columns, 1)), dim=1))
        return torch.cat(boxes)

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        height, width = image_list.tensors.shape[-2:]
        size = torch.tensor([width, height])
        grids = [(feature.shape[-2], feature.shape[-1]) for feature in feature_maps]
        centres, lengths = self._grid_default_boxes(grids, size).split(2, dim=1)
        boxes = torch.cat(((centres - lengths / 2) * size, (centres + lengths / 2) * size), dim=1)
        return [boxes for _ in image_list.image_sizes]
