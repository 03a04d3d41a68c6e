"""RoIAlign over one map and over the maps of a pyramid (He et al. 2017, section 3; Lin et al.)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from detectors.torchvision_style.boxes import Size, areas


def roi_align(maps: Tensor, regions: Tensor, size: Size, scale: float, sampling: int) -> Tensor:
    """Return [R, C, *size]: the mean of `sampling` x `sampling` bilinear samples in each bin.

    Both axes are interpolated by a matrix, whose rows are hat functions around the samples; samples
    more than one pixel outside count as 0, those between are moved to the border.

    Args:
        maps: [N, C, H, W].
        regions: [R, 5]: index of the image, left, top, right, bottom in pixels of the image.
        scale: Pixels of the map to one of the image.
    """
    start = regions[:, 1:3] * scale  # [R, 2]: x, y
    length = (regions[:, 3:5] * scale - start).clamp(min=1.0)
    rows = _means(start[:, 1], length[:, 1], bins=size[0], pixels=maps.shape[2], sampling=sampling)
    columns = _means(
        start[:, 0], length[:, 0], bins=size[1], pixels=maps.shape[3], sampling=sampling
    )
    return rows[:, None] @ maps[regions[:, 0].long()] @ columns[:, None].mT


def _means(start: Tensor, length: Tensor, *, bins: int, pixels: int, sampling: int) -> Tensor:
    """Return [R, bins, pixels]: how much each pixel of one axis adds to each bin."""
    steps = (torch.arange(bins * sampling) + 0.5) / (bins * sampling)
    at = start[:, None] + length[:, None] * steps  # [R, bins * sampling]
    is_inside = (at >= -1) & (at <= pixels)
    nearest = at.clamp(0, pixels - 1)[..., None] - torch.arange(pixels)
    weights = (1 - nearest.abs()).clamp(min=0) * is_inside[..., None]
    return weights.unflatten(1, (bins, sampling)).mean(2)


class LevelMapper:
    """Says which map of the pyramid a box belongs to (Lin et al. 2017, eq. 1)."""

    def __init__(self, k_min: int, k_max: int, canonical_scale: int, canonical_level: int) -> None:
        self.k_min, self.k_max = k_min, k_max
        self.s0, self.lvl0 = canonical_scale, canonical_level

    def __call__(self, boxes: list[Tensor]) -> Tensor:
        sides = torch.sqrt(torch.cat([areas(of_image) for of_image in boxes]))
        levels = torch.floor(self.lvl0 + torch.log2(sides / self.s0) + 1e-6)
        return levels.clamp(self.k_min, self.k_max).to(torch.int64) - self.k_min


def _scale_of(feature: Tensor, largest: Size) -> float:
    height = feature.shape[-2]
    return float(2 ** round(math.log2(height / largest[0])))


class MultiScaleRoIAlign(nn.Module):
    """Cuts each box out of the map of its level; learns the levels' scales at its first call."""

    def __init__(
        self,
        featmap_names: list[str],
        output_size: int,
        sampling_ratio: int,
        *,
        canonical_scale: int = 224,
        canonical_level: int = 4,
    ) -> None:
        super().__init__()
        self.featmap_names = featmap_names
        self.output_size = (output_size, output_size)
        self.sampling_ratio = sampling_ratio
        self.canonical_scale, self.canonical_level = canonical_scale, canonical_level
        self.scales: list[float] | None = None
        self.map_levels: LevelMapper | None = None

    def forward(
        self, x: Mapping[str, Tensor], boxes: list[Tensor], image_shapes: list[Size]
    ) -> Tensor:
        maps = [feature for name, feature in x.items() if name in self.featmap_names]
        if self.scales is None or self.map_levels is None:
            self._learn_scales(maps, image_shapes)
        numbers = [torch.full_like(of_one[:, :1], index) for index, of_one in enumerate(boxes)]
        regions = torch.cat([torch.cat(numbers), torch.cat(boxes)], dim=1)  # [R, 5]
        levels = self.map_levels(boxes)
        pooled = torch.zeros((len(regions), maps[0].shape[1], *self.output_size))
        for level, (feature, scale) in enumerate(zip(maps, self.scales, strict=True)):
            members = torch.where(levels == level)[0]
            pooled[members] = roi_align(
                feature, regions[members], self.output_size, scale, self.sampling_ratio
            )
        return pooled

    def _learn_scales(self, maps: list[Tensor], image_shapes: list[Size]) -> None:
        largest = (max(size[0] for size in image_shapes), max(size[1] for size in image_shapes))
        self.scales = [_scale_of(feature, largest) for feature in maps]
        first, last = (-int(math.log2(self.scales[index])) for index in (0, -1))
        self.map_levels = LevelMapper(first, last, self.canonical_scale, self.canonical_level)
