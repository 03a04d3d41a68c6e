"""Losses of the three detectors, and what their outputs find: the best box of each picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.judged.networks import ANCHORS, CELL, CELLS
from benchmarks.judged.scenes import SHAPES, SIZE, Scenes

Detections = tuple[Tensor, Tensor, Tensor]
"""Boxes [N, P, 4] as centre and size in pixels, class scores [N, P, 5], objectness [N, P]."""
OVERLAP = 0.5
"""IoU from which a box counts."""
LEVELS = ((CELLS, CELL), (CELLS // 2, 2 * CELL))
"""Cells a side, pixels a cell, of the SSD's maps."""


def hits(found: Detections, scenes: Scenes) -> Tensor:
    """Return the percentage of pictures whose surest box has the class and half the overlap."""
    boxes, scores, objectness = found
    rows = torch.arange(len(boxes))
    best = objectness.argmax(1)
    right = scores[rows, best].argmax(1) == scenes.shape
    return 100.0 * (right & (_iou(boxes[rows, best], truth(scenes)) >= OVERLAP)).double().mean()


def truth(scenes: Scenes) -> Tensor:
    """Return the boxes, [N, 4] as centre and size in pixels."""
    side = 2.0 * scenes.radius[:, None]
    return torch.cat([scenes.centre, side, side], 1)


def _iou(first: Tensor, second: Tensor) -> Tensor:
    low = torch.maximum(first[:, :2] - first[:, 2:] / 2, second[:, :2] - second[:, 2:] / 2)
    high = torch.minimum(first[:, :2] + first[:, 2:] / 2, second[:, :2] + second[:, 2:] / 2)
    shared = (high - low).clamp(min=0).prod(1)
    return shared / (first[:, 2:].clamp(min=0).prod(1) + second[:, 2:].prod(1) - shared)


def _cell(scenes: Scenes, pixels: int) -> tuple[Tensor, Tensor]:
    """Return the column and row of the cell in which each centre lies."""
    return tuple((scenes.centre / pixels).long().unbind(1))  # type: ignore[return-value]


def _corners(cells: int) -> Tensor:
    """Return column and row of each cell, [cells * cells, 2]."""
    steps = torch.arange(float(cells))
    down, across = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([across, down], 2).reshape(-1, 2)


def _focal(logits: Tensor, target: Tensor) -> Tensor:
    """Return a cross entropy that easy entries add little to, the sum over one picture."""
    plain = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    wrong = (target - logits.sigmoid()).abs()
    return (plain * wrong.square()).flatten(1).sum(1).mean() * 4.0


# the raw maps of a YOLO


def _anchor(scenes: Scenes) -> Tensor:
    return (scenes.radius > 6.75).long()


def _split(outputs: Sequence[Tensor]) -> Tensor:
    """Return [N, anchors, 5 + classes, 8, 8]."""
    return outputs[0].reshape(-1, len(ANCHORS), 5 + SHAPES, CELLS, CELLS)


def raw_groups(outputs: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return places, sizes, objectness and classes, [N, C, 8, 8] each."""
    maps = _split(outputs).transpose(1, 2)
    parts = {"xy": maps[:, :2], "wh": maps[:, 2:4], "object": maps[:, 4:5], "class": maps[:, 5:]}
    return {name: part.flatten(1, 2) for name, part in parts.items()}


def raw_loss(outputs: Sequence[Tensor], scenes: Scenes) -> Tensor:
    """Return the loss of the cell and anchor that hold the shape, and of all objectness."""
    maps, rows = _split(outputs), torch.arange(len(scenes.shape))
    column, row = _cell(scenes, CELL)
    anchor = _anchor(scenes)
    there = maps[rows, anchor, :, row, column]  # [N, 10]
    objects = torch.zeros_like(maps[:, :, 4])
    objects[rows, anchor, row, column] = 1.0
    place = scenes.centre / CELL - torch.stack([column, row], 1)
    size = (2.0 * scenes.radius[:, None] / torch.tensor(ANCHORS)[anchor][:, None]).log()
    return (
        _focal(maps[:, :, 4], objects)
        + functional.mse_loss(there[:, :2].sigmoid(), place)
        + functional.mse_loss(there[:, 2:4], size.expand(-1, 2))
        + functional.cross_entropy(there[:, 5:], scenes.shape)
    )


def raw_detections(outputs: Sequence[Tensor]) -> Detections:
    """Return what the raw maps say."""
    maps = _split(outputs).flatten(3).permute(0, 1, 3, 2)  # [N, anchors, 64, 10]
    centre = (maps[..., :2].sigmoid() + _corners(CELLS)) * CELL
    size = maps[..., 2:4].exp() * torch.tensor(ANCHORS).reshape(1, -1, 1, 1)
    boxes = torch.cat([centre, size], 3).flatten(1, 2)
    return boxes, maps[..., 5:].flatten(1, 2), maps[..., 4].flatten(1)


# a YOLO that decodes its boxes


def decoded_groups(outputs: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return centres, sizes and scores."""
    return {"xy": outputs[0][:, :2], "wh": outputs[0][:, 2:4], "score": outputs[0][:, 4:]}


def decoded_loss(outputs: Sequence[Tensor], scenes: Scenes) -> Tensor:
    """Return the loss of the cell that holds the shape, and of all scores."""
    rows = torch.arange(len(scenes.shape))
    column, row = _cell(scenes, CELL)
    cell = row * CELLS + column
    boxes = outputs[0][rows, :4, cell]
    scores = outputs[0][:, 4:].clamp(1e-4, 1 - 1e-4)
    target = torch.zeros_like(scores)
    target[rows, scenes.shape, cell] = 1.0
    return functional.mse_loss(boxes / 4.0, truth(scenes) / 4.0) + _focal(scores.logit(), target)


def decoded_detections(outputs: Sequence[Tensor]) -> Detections:
    """Return what the tensor says."""
    values = outputs[0].transpose(1, 2)
    return values[..., :4], values[..., 4:], values[..., 4:].amax(2)


# an SSD


def ssd_loss(outputs: Sequence[Tensor], scenes: Scenes) -> Tensor:
    """Return the loss of the cell that holds the shape, small ones in the finer level."""
    boxes, logits = outputs
    rows = torch.arange(len(boxes))
    index, offset = _default_box(scenes)
    target = torch.zeros(logits.shape[:2], dtype=torch.long)
    target[rows, index] = scenes.shape + 1
    plain = functional.cross_entropy(logits.transpose(1, 2), target, reduction="none")
    weight = 1.0 + 9.0 * (target > 0)
    return functional.mse_loss(boxes[rows, index], offset) * 4.0 + (plain * weight).mean() * 4.0


def _default_box(scenes: Scenes) -> tuple[Tensor, Tensor]:
    """Return the number of each shape's default box, [N], and what is to be said of it, [N, 4]."""
    numbers, offsets, first = [], [], 0
    for cells, pixels in LEVELS:
        column, row = _cell(scenes, pixels)
        numbers.append(first + row * cells + column)
        place = scenes.centre / pixels - torch.stack([column, row], 1) - 0.5
        size = (2.0 * scenes.radius / (3.0 * pixels)).log()[:, None].expand(-1, 2)
        offsets.append(torch.cat([place, size], 1))
        first += cells * cells
    level = _anchor(scenes)
    rows = torch.arange(len(level))
    return torch.stack(numbers)[level, rows], torch.stack(offsets)[level, rows]


def ssd_detections(outputs: Sequence[Tensor]) -> Detections:
    """Return what boxes and logits say."""
    boxes, logits = outputs
    scores = logits.softmax(2)[..., 1:]
    corners = torch.cat([_corners(cells) * pixels for cells, pixels in LEVELS])
    pixels = torch.cat([torch.full((cells**2, 1), float(size)) for cells, size in LEVELS])
    centre = corners + (boxes[..., :2] + 0.5) * pixels
    found = torch.cat([centre, boxes[..., 2:].exp() * 3.0 * pixels], 2)
    return found, scores, scores.amax(2)


assert LEVELS[0][0] * LEVELS[0][1] == SIZE
