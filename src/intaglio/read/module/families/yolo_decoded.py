"""Readings of YOLO networks whose output holds boxes already: rows or columns of all positions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from intaglio.boxes.limits import YOLO_FREE, YOLO_V5
from intaglio.boxes.postprocess import PostProcess
from intaglio.boxes.yolo import yolo_decoded
from intaglio.read.module.families.evidence import Size
from intaglio.read.module.families.shown import Shown, level_sizes

MOST_ANCHORS = 9
"""Of a cell."""
FOLLOWS = 0.4
"""Correlation with the cells' places that centres must have: 0.5 and more where heads have random
weights, 0.9 where they are trained."""
SLOPE = (0.3, 3.0)
"""Pixels that a centre moves where its cell moves by one: far less where centres are parts of the
input."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """An output that might hold decoded boxes.

    Attributes:
        output: Which.
        rows: [P, 4 + classes or 5 + classes].
        layout: "rows" or "columns".
        classes: Of boxes.
        objectness: Whether one stands between box and scores.
        strides: Of the maps whose cells add up to P.
        each: Anchors of a cell.
    """

    output: int
    rows: Tensor
    layout: str
    classes: int
    objectness: bool
    strides: tuple[int, ...]
    each: int


def decoded_outputs(shown: Shown) -> list[Decoded]:
    """Return the outputs that hold a box and scores of each cell of the usual maps.

    Centres follow the cells, in pixels; sides are above 0 and do not, as other corners would;
    scores lie in 0..1; and an attribute of the module says how many classes there are.
    """
    return [
        own
        for number, output in enumerate(shown.outputs)
        if output.ndim == 3
        for layout, rows in (("rows", output[0]), ("columns", output[0].T))
        for own in _readings(shown, number, layout, rows)
        if is_decoded(own, shown.input_size)
    ]


def _readings(shown: Shown, output: int, layout: str, rows: Tensor) -> Iterator[Decoded]:
    for strides in shown.strides:
        cells = sum(height * width for height, width in level_sizes(shown.input_size, strides))
        each, rest = divmod(len(rows), cells or len(rows) + 1)
        if rest or not 1 <= each <= MOST_ANCHORS:
            continue
        for has_objectness in (False, True):
            classes = rows.shape[1] - 4 - has_objectness
            if classes in shown.classes:
                yield Decoded(output, rows, layout, classes, has_objectness, strides, each)


def is_decoded(own: Decoded, input_size: Size) -> bool:
    """Return whether rows begin with centre and size in pixels, and scores in 0..1 follow."""
    rows = own.rows.numpy().astype(np.float64)
    scores, sizes = rows[:, 4:], rows[:, 2:4]
    if not np.isfinite(rows).all() or (scores < 0).any() or (scores > 1).any():
        return False
    if (sizes <= 0).any():
        return False
    for places in _places(own, input_size):
        follow = [_follows(rows[:, axis], places[:, axis]) for axis in (0, 1)]
        others = [_follows(sizes[:, axis], places[:, axis]) for axis in (0, 1)]
        are_centres = all(
            alike >= FOLLOWS and SLOPE[0] <= slope <= SLOPE[1] for alike, slope in follow
        )
        if are_centres and all(alike < FOLLOWS for alike, _ in others):
            return True
    return False


def _places(own: Decoded, input_size: Size) -> Iterator[NDArray[np.float64]]:
    """Give x and y of the cell of each position [P, 2], the anchors last, then first."""
    for of_levels in (own.strides, own.strides[::-1]):
        for repeat in (np.repeat, _tiled):
            levels = []
            sizes = level_sizes(input_size, of_levels)
            for (rows, columns), stride in zip(sizes, of_levels, strict=True):
                y, x = (np.mgrid[0:rows, 0:columns].reshape(2, -1) + 0.5) * stride
                levels.append(repeat(np.stack([x, y], axis=1), own.each, 0))
            yield np.concatenate(levels)


def _tiled(cells: NDArray[np.float64], each: int, axis: int) -> NDArray[np.float64]:
    return np.concatenate([cells] * each, axis=axis)


def _follows(values: NDArray[np.float64], places: NDArray[np.float64]) -> tuple[float, float]:
    """Return the correlation of values with places, and their slope over them."""
    apart = places - places.mean()
    shared = float((apart * (values - values.mean())).mean())
    spread = float(values.std() * places.std())
    slope = shared / float((apart**2).mean()) if len(set(places)) > 1 else 0.0
    return (shared / spread if spread > 0 else 0.0), slope


def decoded_yolo(shown: Shown) -> PostProcess | None:
    """Return the reading of a network with one such output; None where none or several fit."""
    found = decoded_outputs(shown)
    if len(found) != 1:
        return None
    (own,) = found
    post = yolo_decoded(
        shown.input_size,
        len(own.rows),
        classes=own.classes,
        objectness=own.objectness,
        layout=own.layout,
        limits=YOLO_V5 if own.objectness else YOLO_FREE,
        names=shown.named(own.classes),
    )
    return moved(post, (own.output,))


def moved(post: PostProcess, outputs: tuple[int, ...]) -> PostProcess:
    """Return a reading with each output's number replaced by what stands at its place."""
    levels = []
    for level in post.levels:
        boxes = tuple(replace(part, output=outputs[part.output]) for part in level.boxes)
        scores = replace(level.scores, output=outputs[level.scores.output])
        single = level.objectness
        if single is not None:
            single = replace(single, output=outputs[single.output])
        levels.append(replace(level, boxes=boxes, scores=scores, objectness=single))
    return replace(post, levels=tuple(levels))
