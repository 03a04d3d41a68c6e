"""The raw numbers of all positions, in torch: what losses are made of, with gradients.

`boxes/parts.py` and `boxes/places.py` say the same in NumPy, one picture at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from intaglio.boxes.places import anchors_at
from intaglio.boxes.postprocess import Grid, Part, Places, PostProcess
from intaglio.errors import DataError


@dataclass(frozen=True, eq=False)
class Raw:
    """What a network says of P positions in each of N images, levels one behind the other.

    Attributes:
        boxes: [N, P, numbers of a box], as the coders read them.
        scores: [N, P, K].
        objectness: [N, P]; None where the network has none.
    """

    boxes: Tensor
    scores: Tensor
    objectness: Tensor | None


@dataclass(frozen=True, eq=False)
class Anchored:
    """Where P positions lie, in pixels of the network's input.

    Attributes:
        boxes: [P, 4], anchors: left, top, right, bottom.
        points: [P, 2], x and y of the places.
        steps: [P, 2], x and y from cell to cell; 0 without a grid.
        levels: [P] int64.
    """

    boxes: Tensor
    points: Tensor
    steps: Tensor
    levels: Tensor


def raw_numbers(post: PostProcess, outputs: Sequence[Tensor]) -> Raw:
    """Return the numbers of all positions; gradients flow to the outputs.

    Args:
        post: Where they stand.
        outputs: All of the network, [N, ...] each.

    Raises:
        DataError: If an output is missing or has another shape.
    """
    boxes = [
        torch.cat([part_numbers(part, level.places, outputs) for part in level.boxes], 2)
        for level in post.levels
    ]
    scores = [part_numbers(level.scores, level.places, outputs) for level in post.levels]
    objectness = [
        part_numbers(level.objectness, level.places, outputs)[..., 0]
        for level in post.levels
        if level.objectness is not None
    ]
    return Raw(
        torch.cat(boxes, 1), torch.cat(scores, 1), torch.cat(objectness, 1) if objectness else None
    )


def part_numbers(part: Part, places: Places, outputs: Sequence[Tensor]) -> Tensor:
    """Return the numbers of a part for all images, [N, positions, part.count].

    Raises:
        DataError: If there is no such output, or it has another shape.
    """
    if part.output >= len(outputs):
        raise DataError(f"output {part.output} is read, but the network gave {len(outputs)}")
    whole = outputs[part.output]
    rows = _from_map(part, places, whole) if isinstance(places, Grid) else None
    if rows is None:
        rows = whole.transpose(1, 2) if part.layout == "columns" else whole
        stop = part.start + places.count
        if rows.ndim != 3 or rows.shape[2] != part.width or rows.shape[1] < stop:
            raise _misshapen(part, whole, f"{part.width} numbers of at least {stop} positions")
        rows = rows[:, part.start : stop]
    return rows[..., part.first : part.first + part.count]


def _from_map(part: Part, grid: Grid, whole: Tensor) -> Tensor | None:
    """Return [N, positions, width] of a map; None where the layout is none."""
    anchors, cells = len(grid.anchors), (grid.rows, grid.columns)
    shapes = {
        "map": (anchors * part.width, *cells),
        "map-last": (*cells, anchors * part.width),
        "anchor-maps": (anchors, *cells, part.width),
    }
    if part.layout not in shapes:
        return None
    if whole.shape[1:] != shapes[part.layout]:
        raise _misshapen(part, whole, str(list(shapes[part.layout])))
    count = len(whole)
    if part.layout == "map":
        split = whole.reshape(count, anchors, part.width, *cells).permute(0, 3, 4, 1, 2)
    elif part.layout == "map-last":
        split = whole.reshape(count, *cells, anchors, part.width)
    else:
        split = whole.permute(0, 2, 3, 1, 4)
    return split.reshape(count, grid.count, part.width)


def _misshapen(part: Part, whole: Tensor, wanted: str) -> DataError:
    return DataError(
        f"output {part.output} of a picture is {list(whole.shape[1:])}: as {part.layout} it must"
        f" be {wanted}"
    )


def anchored(post: PostProcess, like: Tensor) -> Anchored:
    """Return where all positions lie, float32 on the device of `like`."""
    boxes, points, steps, levels = [], [], [], []
    for number, level in enumerate(post.levels):
        own = anchors_at(level.places, np.arange(level.places.count, dtype=np.int64))
        boxes.append(own.boxes)
        points.append(own.points)
        steps.append(np.tile(np.asarray(own.step, np.float32), (len(own.boxes), 1)))
        levels.append(np.full(len(own.boxes), number, np.int64))
    together = (np.concatenate(each) for each in (boxes, points, steps, levels))
    return Anchored(*(torch.from_numpy(each).to(like.device) for each in together))
