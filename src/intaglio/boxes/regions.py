"""Between the two cores of Faster R-CNN: proposals, and what is cut out for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from intaglio.boxes.detect import Picture, detections, found_in
from intaglio.boxes.detections import NOTHING, Detections
from intaglio.boxes.nms import areas
from intaglio.boxes.postprocess import Pooling, PostProcess, TwoStage

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
AT_ONCE = 64
"""Regions that are cut out together: what they take stays in a processor's cache."""


def proposals(post: PostProcess, outputs: Sequence[Floats]) -> list[Floats]:
    """Return the regions of each picture, [n, 4] in pixels, the surest first.

    Args:
        post: `two_stage.rpn`.
        outputs: Of the first core.

    Raises:
        ValueError: As `detections`.
    """
    return [found.boxes for found in detections(post, outputs)]


def level_of(
    boxes: Floats,
    k_min: int,
    k_max: int,
    *,
    canonical: float = 224.0,
    canonical_level: int = 4,
) -> Indices:
    """Return the level of the pyramid that each region is cut out of, [n].

    k = floor(k_0 + log2(sqrt(w h) / canonical) + 1e-6), in float32 and from k_min to k_max.
    Source: Lin et al. 2017, arXiv:1612.03144, equation 1; the 1e-6 is torchvision's.
    """
    sides = np.sqrt(areas(np.asarray(boxes, np.float32)))
    with np.errstate(divide="ignore"):
        steps = np.log2(sides / np.float32(canonical))
    level = np.floor(np.float32(canonical_level) + steps + np.float32(1e-6))
    return np.asarray(np.clip(level, k_min, k_max), np.int64)


def roi_align(
    features: Floats, boxes: Floats, *, size: int = 7, sampling: int = 2, scale: float
) -> Floats:
    """Return the means of bilinear samples in size x size bins of each region.

    Source: He et al. 2017, arXiv:1703.06870, section 3. As torchvision's with aligned=False: a
    feature lies at its whole index, coordinates are not rounded, a region is at least one feature
    wide, and samples further than 1 outside the map are 0.

    Args:
        features: [C, H, W].
        boxes: [n, 4], left, top, right, bottom in pixels.
        size: Bins along a side.
        sampling: Samples along a side of a bin.
        scale: Features a pixel.

    Returns:
        [n, C, size, size] float32.
    """
    last = np.ascontiguousarray(np.asarray(features, np.float32).transpose(1, 2, 0))  # [H, W, C]
    scaled = np.asarray(boxes, np.float32) * np.float32(scale)
    pooled = np.empty((len(boxes), len(features), size, size), np.float32)
    for start in range(0, len(boxes), AT_ONCE):
        some = scaled[start : start + AT_ONCE]
        rows = _samples(some[:, 1], some[:, 3], size, sampling)
        columns = _samples(some[:, 0], some[:, 2], size, sampling)
        pooled[start : start + AT_ONCE] = _means(last, rows, columns)
    return pooled


def _samples(low: Floats, high: Floats, size: int, sampling: int) -> Floats:
    """Return where samples lie along one axis, [sampling, n, size]."""
    span = np.maximum(high - low, np.float32(1)) / np.float32(size)  # [n], of a bin
    begin = low[:, None] + np.arange(size, dtype=np.float32) * span[:, None]  # [n, size]
    parts = (np.arange(sampling, dtype=np.float32) + np.float32(0.5)) / np.float32(sampling)
    places = begin + parts[:, None, None] * span[:, None]
    return np.asarray(places, np.float32)


def _means(features: Floats, rows: Floats, columns: Floats) -> Floats:
    """Return the means over samples of features [H, W, C], as [n, C, size, size].

    Summed in the order of samples, rows first, and of a sample's four neighbours.
    """
    height, width, channels = features.shape
    samples, count, size = rows.shape
    total = np.zeros((count, size, size, channels), np.float32)
    for y in rows:
        tops = _neighbours(y, height)
        for x in columns:
            for row, down in tops:
                for column, across in _neighbours(x, width):
                    weight = down[:, :, None] * across[:, None, :]  # [n, size, size]
                    values = features[row[:, :, None], column[:, None, :]]
                    total += values * weight[..., None]
    return (total / np.float32(samples * samples)).transpose(0, 3, 1, 2)


def _neighbours(places: Floats, length: int) -> list[tuple[Indices, Floats]]:
    """Return the index before and after each place on an axis, with their weights."""
    inside = (places >= -1) & (places <= length)
    held = np.clip(places, np.float32(0), np.float32(length - 1))
    before = np.floor(held).astype(np.int64)
    after = np.minimum(before + 1, length - 1)
    part = held - before.astype(np.float32)
    zero = np.float32(0)
    return [
        (before, np.where(inside, np.float32(1) - part, zero)),
        (after, np.where(inside, part, zero)),
    ]


def pooled_regions(
    pooling: Pooling,
    outputs: Sequence[Floats],
    regions: Sequence[Floats],
    input_size: tuple[int, int],
) -> Floats:
    """Return what the second core reads: of each region, the level of its size, RoIAligned.

    Args:
        pooling: Which maps, and how.
        outputs: Of the first core.
        regions: Of each picture, [n, 4] in pixels.
        input_size: Height, width in pixels; a map's scale is the nearest power of 2.

    Returns:
        [all regions of the first picture, then of the second ..., C, size, size] float32.

    Raises:
        ValueError: If the maps are not of as many pictures as the regions, or not of one width.
    """
    maps = [_map_of(pooling, outputs, output) for output in pooling.maps]
    if {len(own) for own in maps} != {len(regions)} or len({own.shape[1] for own in maps}) != 1:
        shapes = [list(own.shape) for own in maps]
        raise ValueError(f"maps {shapes} do not fit the regions of {len(regions)} pictures")
    levels = [-round(math.log2(own.shape[2] / input_size[0])) for own in maps]
    pooled = [np.empty((0, maps[0].shape[1], pooling.size, pooling.size), np.float32)]
    for number, boxes in enumerate(regions):
        features = [own[number] for own in maps]
        pooled.append(_pooled(pooling, features, levels, boxes))
    return np.concatenate(pooled)


def _map_of(pooling: Pooling, outputs: Sequence[Floats], output: int) -> Floats:
    """Return a map as [N, C, H, W]."""
    if output >= len(outputs) or np.ndim(outputs[output]) != 4:
        raise ValueError(f"output {output} is cut out of, but it is no map of features")
    found = np.asarray(outputs[output])
    return found.transpose(0, 3, 1, 2) if pooling.layout == "map-last" else found


def _pooled(
    pooling: Pooling, features: Sequence[Floats], levels: Sequence[int], boxes: Floats
) -> Floats:
    """Return the regions of one picture, [n, C, size, size]."""
    own = level_of(
        boxes,
        levels[0],
        levels[-1],
        canonical=pooling.canonical,
        canonical_level=pooling.canonical_level,
    )
    size, sampling = pooling.size, pooling.sampling
    pooled = np.empty((len(boxes), len(features[0]), size, size), np.float32)
    # of two maps of one level the first is taken
    maps = dict(zip(reversed(levels), reversed(features), strict=True))
    for level, one in maps.items():
        members = np.flatnonzero(own == level)
        pooled[members] = roi_align(
            one, boxes[members], size=size, sampling=sampling, scale=2.0**-level
        )
    return pooled


def region_detections(
    head: PostProcess, outputs: Sequence[Floats], regions: Sequence[Floats]
) -> list[Detections]:
    """Return what was found, for each picture.

    Args:
        head: `two_stage.fast_rcnn`.
        outputs: Of the second core, a row a region, in the order of `pooled_regions`.
        regions: Of each picture, [n, 4] in pixels.

    Raises:
        ValueError: If there are not as many rows as regions.
    """
    count = sum(len(boxes) for boxes in regions)
    rows = [len(output) for output in outputs]
    if set(rows) != {count}:
        raise ValueError(f"outputs have {rows} rows, but there are {count} regions")
    found, start = [], 0
    for boxes in regions:
        own = [output[None, start : start + len(boxes)] for output in outputs]
        found.append(found_in(head, Picture(own, proposed=boxes)))
        start += len(boxes)
    return found


def two_stage_detections(
    post: TwoStage, outputs: Sequence[Floats], second: Callable[[Floats], Sequence[Floats]]
) -> list[Detections]:
    """Return what was found, for each picture of a batch.

    Args:
        post: What the outputs of both cores mean.
        outputs: Of the first core, [N, ...] each.
        second: From regions [R, C, size, size] to the second core's outputs, [R, ...] each; not
            called where there are none.

    Raises:
        ValueError: If outputs are missing, or have other shapes.
    """
    regions = proposals(post.regions, outputs)
    pooled = pooled_regions(post.pooling, outputs, regions, post.regions.input_size)
    if not len(pooled):
        return [NOTHING for _ in regions]
    return region_detections(post.head, second(pooled), regions)
