"""Anchors by formula: the grids of the usual detectors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from intaglio.boxes.postprocess import Box, Grid

Size = tuple[int, int]
"""Height, width."""

SSD300_MAPS = ((38, 38), (19, 19), (10, 10), (5, 5), (3, 3), (1, 1))
SSD300_RATIOS = ((2.0,), (2.0, 3.0), (2.0, 3.0), (2.0, 3.0), (2.0,), (2.0,))
SSD300_SCALES = (0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05)
SSD300_STEPS = (8, 16, 32, 64, 100, 300)
SSDLITE_RATIOS = ((2.0, 3.0),) * 6
PYRAMID_RATIOS = (0.5, 1.0, 2.0)
FCOS_SIDES = (8, 16, 32, 64, 128)
RETINANET_SIZES = tuple(
    (side, int(side * 2 ** (1 / 3)), int(side * 2 ** (2 / 3))) for side in (32, 64, 128, 256, 512)
)


def map_sizes(input_size: Size, strides: Sequence[int]) -> tuple[Size, ...]:
    """Return height and width of the maps of these strides, rounded up as padded layers do."""
    height, width = input_size
    return tuple((math.ceil(height / stride), math.ceil(width / stride)) for stride in strides)


def even_scales(levels: int, smallest: float = 0.2, largest: float = 0.95) -> tuple[float, ...]:
    """Return SSD's scales s_k = s_min + (s_max - s_min) k / (levels - 1), then 1.

    Source: Liu et al. 2016, arXiv:1512.02325, equation 4.
    """
    growth = largest - smallest
    return (*(smallest + growth * k / max(levels - 1, 1) for k in range(levels)), 1.0)


def default_boxes(
    input_size: Size,
    maps: Sequence[Size],
    *,
    ratios: Sequence[Sequence[float]] = SSDLITE_RATIOS,
    scales: Sequence[float] | None = None,
    steps: Sequence[float] | None = None,
) -> tuple[Grid, ...]:
    """Return SSD's default boxes, one grid a map.

    Of a cell: ratio 1 of scale s_k, ratio 1 of sqrt(s_k s_k+1), then each ratio r and 1 / r; sides
    are cut to the input's. Source: Liu et al. 2016, section 2.2; torchvision's order.

    Args:
        input_size: Pixels.
        maps: Height and width of each map.
        ratios: Of each map, width to height, but for 1.
        scales: Parts of the input's sides, one more than there are maps; `even_scales` unless
            given.
        steps: From cell to cell, in pixels; unless given, cells fill the input.
    """
    scales = even_scales(len(maps)) if scales is None else scales
    if len(ratios) != len(maps) or len(scales) != len(maps) + 1:
        raise ValueError(f"{len(maps)} maps need as many ratios, and one scale more")
    grids = []
    for number, size in enumerate(maps):
        scale, between = scales[number], math.sqrt(scales[number] * scales[number + 1])
        shapes = [(scale, scale), (between, between)]
        for ratio in ratios[number]:
            long, short = scale * math.sqrt(ratio), scale / math.sqrt(ratio)
            shapes += [(long, short), (short, long)]
        shapes = [(min(width, 1.0), min(height, 1.0)) for width, height in shapes]
        step = None if steps is None else (float(steps[number]), float(steps[number]))
        grids.append(_centred(input_size, size, shapes, step))
    return tuple(grids)


def tf_default_boxes(
    input_size: Size,
    maps: Sequence[Size],
    *,
    ratios: Sequence[float] = (1.0, 2.0, 0.5, 3.0, 0.3333),
    smallest: float = 0.2,
    largest: float = 0.95,
) -> tuple[Grid, ...]:
    """Return the default boxes of TensorFlow's SSD, one grid a map.

    The first map has three: scale 0.1, and ratios 2 and 1/2 of scale `smallest`. The others have
    `ratios` of their scale, then ratio 1 of sqrt(s_k s_k+1). None is cut.

    Args:
        input_size: Pixels.
        maps: Height and width of each map; cells fill the input.
        ratios: Width to height, in order.
        smallest, largest: Scales of the first and the last map.
    """
    scales, grids = even_scales(len(maps), smallest, largest), []
    for number, size in enumerate(maps):
        pairs = [(0.1, 1.0), (scales[0], 2.0), (scales[0], 0.5)]
        if number:
            scale, between = scales[number], math.sqrt(scales[number] * scales[number + 1])
            pairs = [*((scale, ratio) for ratio in ratios), (between, 1.0)]
        shapes = [(scale * math.sqrt(ratio), scale / math.sqrt(ratio)) for scale, ratio in pairs]
        grids.append(_centred(input_size, size, shapes, None))
    return tuple(grids)


def _centred(
    input_size: Size,
    size: Size,
    shapes: Sequence[tuple[float, float]],
    step: tuple[float, float] | None,
) -> Grid:
    """Return anchors (width, height, as parts of the input) around the cells' centres."""
    height, width = input_size
    step_y, step_x = (height / size[0], width / size[1]) if step is None else step
    anchors = tuple(around(part_x * width, part_y * height) for part_x, part_y in shapes)
    return Grid(*size, step_y, step_x, step_y / 2, step_x / 2, anchors)


def around(width: float, height: float) -> Box:
    """Return an anchor of this size around its place."""
    return (-width / 2, -height / 2, width / 2, height / 2)


def cell_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> tuple[Box, ...]:
    """Return the anchors of a cell, all sizes of the first ratio first, rounded to whole pixels.

    Width = size / sqrt(ratio), height = size sqrt(ratio), in float32; halves are rounded to even,
    as torchvision does.

    Args:
        sizes: Square roots of areas, in pixels.
        ratios: Height to width.
    """
    tall = np.sqrt(np.asarray(ratios, np.float32))
    side = np.asarray(sizes, np.float32)
    width = np.outer(np.float32(1) / tall, side).reshape(-1)  # [ratios * sizes]
    height = np.outer(tall, side).reshape(-1)
    corners = np.round(np.stack([-width, -height, width, height], axis=1) / np.float32(2))
    return tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in corners + 0.0)


def anchor_grids(
    input_size: Size,
    maps: Sequence[Size],
    *,
    sizes: Sequence[Sequence[float]],
    ratios: Sequence[float] = PYRAMID_RATIOS,
) -> tuple[Grid, ...]:
    """Return the anchors of RetinaNet and of region proposals, one grid a map.

    Places are whole multiples of the step, input side // map side, from 0 (torchvision's).

    Args:
        input_size: Pixels.
        maps: Height and width of each map.
        sizes: Of each map, see `cell_anchors` (`RETINANET_SIZES`; (32,), (64,) ... for proposals).
        ratios: Of every map, height to width.
    """
    if len(sizes) != len(maps):
        raise ValueError(f"{len(maps)} maps, but sizes of {len(sizes)}")
    height, width = input_size
    return tuple(
        Grid(rows, columns, height // rows, width // columns, 0, 0, cell_anchors(own, ratios))
        for (rows, columns), own in zip(maps, sizes, strict=True)
    )


def point_grids(
    input_size: Size,
    maps: Sequence[Size],
    *,
    centre: float = 0.0,
    sides: Sequence[float] | None = None,
) -> tuple[Grid, ...]:
    """Return one anchor a cell, for detectors without anchors: what they count in.

    Args:
        input_size: Pixels.
        maps: Height and width of each map; steps are input side // map side.
        centre: Place of the first cell, in steps: 0 for FCOS, YOLOX and CenterNet, 0.5 for YOLOv8.
        sides: Of each map's square anchor, in pixels: FCOS's strides, which differ from the steps
            where maps were rounded up. Unless given, anchors are as large as the steps.
    """
    if sides is not None and len(sides) != len(maps):
        raise ValueError(f"{len(maps)} maps, but sides of {len(sides)}")
    height, width = input_size
    grids = []
    for number, (rows, columns) in enumerate(maps):
        step_y, step_x = height // rows, width // columns
        tall, wide = (step_y, step_x) if sides is None else (sides[number], sides[number])
        first = (centre * step_y, centre * step_x)
        grids.append(Grid(rows, columns, step_y, step_x, *first, (around(wide, tall),)))
    return tuple(grids)


def yolo_grids(
    input_size: Size,
    strides: Sequence[int],
    anchors: Sequence[Sequence[tuple[float, float]]],
) -> tuple[Grid, ...]:
    """Return the anchors of YOLOv3 to v5, one grid a stride, around the cells' centres.

    Args:
        input_size: Pixels.
        strides: Of each map, in pixels.
        anchors: Of each map: width, height in pixels.
    """
    maps = map_sizes(input_size, strides)
    return tuple(
        Grid(*size, stride, stride, stride / 2, stride / 2, tuple(around(w, h) for w, h in own))
        for size, stride, own in zip(maps, strides, anchors, strict=True)
    )
