"""Boxes and regions in torch: what a detector of two stages does between them, on any device.

The files of `boxes/` say the same in NumPy, for devices; gradients flow here where they exist.
Sources: Ren et al. 2015, arXiv:1506.01497; He et al. 2017, arXiv:1703.06870 (RoIAlign).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from intaglio.boxes.coders import Deltas
from intaglio.boxes.postprocess import Grid, Pooling

LEVEL_EPSILON = 1e-6  # a region whose side is a power of two times 224 belongs to the coarser level


def anchors_of(grid: Grid, *, like: Tensor) -> Tensor:
    """Return a grid's anchors [rows * columns * A, 4], on the device of `like`, in its type."""
    across = _counted(grid.columns, like) * grid.step_x + grid.first_x
    down = _counted(grid.rows, like) * grid.step_y + grid.first_y
    y, x = torch.meshgrid(down, across, indexing="ij")
    places = torch.stack((x, y, x, y), dim=-1)  # [rows, columns, 4]
    anchors = like.new_tensor(grid.anchors)
    return (places[:, :, None] + anchors).reshape(-1, 4)


def decoded(deltas: Tensor, anchors: Tensor, coder: Deltas) -> Tensor:
    """Return boxes [..., 4] (left, top, right, bottom) of deltas and anchors [..., 4].

    Source: Girshick et al. 2014, arXiv:1311.2524, appendix C: x = cx + w dx / wx, and the width
    w exp(dw / ww); deltas are (dx, dy, dw, dh).
    """
    scaled = deltas / deltas.new_tensor(coder.weights)
    shift, growth = scaled[..., :2], scaled[..., 2:]
    if coder.limit is not None:
        growth = growth.clamp(max=coder.limit)
    sides = anchors[..., 2:] - anchors[..., :2]
    centre = anchors[..., :2] + 0.5 * sides + shift * sides
    half = 0.5 * growth.exp() * sides
    return torch.cat((centre - half, centre + half), dim=-1)


def clipped(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return boxes [..., 4], cut off at the border of an image of `size` (height, width)."""
    height, width = size
    return boxes.clamp(min=0).minimum(boxes.new_tensor((width, height, width, height)))


def overlaps(a: Tensor, b: Tensor) -> Tensor:
    """Return intersection over union [n, m] of boxes [n, 4] and [m, 4]; 0 where both are empty."""
    sides = torch.minimum(a[:, None, 2:], b[:, 2:]) - torch.maximum(a[:, None, :2], b[:, :2])
    inside = sides.clamp(min=0).prod(dim=-1)
    union = areas(a)[:, None] + areas(b) - inside
    return torch.where(union > 0, inside / union, torch.zeros_like(union))


def areas(boxes: Tensor) -> Tensor:
    """Return [...] of boxes [..., 4]; 0 where a side is negative."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)


def suppressed(boxes: Tensor, scores: Tensor, overlap: float) -> Tensor:
    """Return the indices of the boxes that stay, the surest first, ties by index.

    The surest box stays and removes those that overlap it by more than `overlap`; then the surest
    of the rest, and so on.

    Args:
        boxes: [n, 4].
        scores: [n].
        overlap: Intersection over union; a box that overlaps by exactly this stays.
    """
    left = scores.argsort(descending=True, stable=True)
    kept = []
    while len(left):
        first, left = left[:1], left[1:]
        kept.append(first)
        left = left[overlaps(boxes[first], boxes[left])[0] <= overlap]
    return torch.cat(kept) if kept else left


def suppressed_by(boxes: Tensor, scores: Tensor, groups: Tensor, overlap: float) -> Tensor:
    """Return what `suppressed` keeps where only boxes of one group [n] remove each other."""
    kept = [groups.new_empty(0)]
    for group in torch.unique(groups):
        members = (groups == group).nonzero()[:, 0]
        kept.append(members[suppressed(boxes[members], scores[members], overlap)])
    together = torch.cat(kept).sort().values
    return together[scores[together].argsort(descending=True, stable=True)]


def roi_align(
    features: Tensor, boxes: Tensor, *, scale: float, size: int = 7, sampling: int = 2
) -> Tensor:
    """Return regions of one image's map, each as `size` x `size` bins: means of bilinear samples.

    No coordinate is rounded. A region is at least one cell of the map wide and high; a sample more
    than one cell beyond the map is 0. Bilinear samples on a lattice are a product of two matrices,
    one along each axis, and so are their means; gradients reach the features through both.
    Source: He et al. 2017, section 3, without the shift by half a cell, as torchvision's detectors.

    Args:
        features: [C, H, W].
        boxes: [R, 4], in pixels of the image.
        scale: Cells of the map a pixel.
        size: Bins along a side.
        sampling: Samples along a side of a bin.

    Returns:
        [R, C, size, size].
    """
    rows = _bins(boxes[:, 1] * scale, boxes[:, 3] * scale, features.shape[1], size, sampling)
    columns = _bins(boxes[:, 0] * scale, boxes[:, 2] * scale, features.shape[2], size, sampling)
    return torch.einsum("rph,chw,rqw->rcpq", rows, features, columns)


def _bins(low: Tensor, high: Tensor, cells: int, size: int, sampling: int) -> Tensor:
    """Return what each cell of one axis weighs in each bin of each region: [R, size, cells]."""
    count = size * sampling
    step = (high - low).clamp(min=1) / count
    middles = _counted(count, low) + 0.5
    samples = low[:, None] + middles * step[:, None]  # [R, size * sampling]
    inside = (samples >= -1) & (samples <= cells)
    samples = samples.clamp(0, cells - 1)
    distances = (samples[..., None] - _counted(cells, low)).abs()
    weights = (1 - distances).clamp(min=0) * inside[..., None]
    return weights.reshape(-1, size, sampling, cells).mean(dim=2)


def _counted(count: int, like: Tensor) -> Tensor:
    return torch.arange(count, dtype=like.dtype, device=like.device)


def level_of(boxes: Tensor, pooling: Pooling, *, finest: int, coarsest: int) -> Tensor:
    """Return the level [R] whose map each region [R, 4] is cut out of: 2^level pixels a cell.

    Source: Lin et al. 2017, arXiv:1612.03144, equation 1: floor(4 + log2(sqrt(w h) / 224)).
    """
    side = areas(boxes).sqrt()
    level = pooling.canonical_level + (side / pooling.canonical).log2() + LEVEL_EPSILON
    return level.floor().clamp(finest, coarsest).long()


def pooled_of_all(
    maps: Sequence[Tensor],
    boxes: Sequence[Tensor],
    *,
    pooling: Pooling,
    input_size: tuple[int, int],
) -> Tensor:
    """Return the `boxes` [R, 4] of all images, cut out of maps [N, C, H, W]; as `pooled` else.

    The regions are [sum of R, C, size, size].
    """
    cut = [
        pooled([one[index] for one in maps], own, pooling=pooling, input_size=input_size)
        for index, own in enumerate(boxes)
    ]
    return torch.cat(cut)


def pooled(
    maps: Sequence[Tensor], boxes: Tensor, *, pooling: Pooling, input_size: tuple[int, int]
) -> Tensor:
    """Return regions [R, C, size, size] of one image, each cut out of the map of its level.

    Args:
        maps: [C, H, W], the finest first.
        boxes: [R, 4], in pixels of the image.
        pooling: Bins, samples and levels.
        input_size: Height and width of the image in pixels.
    """
    exponents = [round(math.log2(input_size[0] / one.shape[1])) for one in maps]
    levels = level_of(boxes, pooling, finest=exponents[0], coarsest=exponents[-1])
    size = pooling.size
    regions = maps[0].new_zeros((len(boxes), maps[0].shape[0], size, size))
    for number, (features, exponent) in enumerate(zip(maps, exponents, strict=True)):
        members = (levels - exponents[0] == number).nonzero()[:, 0]
        cut = roi_align(
            features,
            boxes[members],
            scale=2.0**-exponent,
            size=size,
            sampling=pooling.sampling,
        )
        regions = regions.index_copy(0, members, cut)
    return regions
