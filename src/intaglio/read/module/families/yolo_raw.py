"""Readings of YOLO networks that give the raw maps of their levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from intaglio.boxes.anchors import point_grids, yolo_grids
from intaglio.boxes.decode import corners
from intaglio.boxes.detect import Picture, level_scores
from intaglio.boxes.heads import packed
from intaglio.boxes.parts import numbers
from intaglio.boxes.places import anchors_at
from intaglio.boxes.postprocess import Grid, Level, PostProcess
from intaglio.boxes.yolo import yolo_free, yolov3, yolov5, yolox
from intaglio.read.module.families.evidence import Size
from intaglio.read.module.families.shown import Shown, level_sizes
from intaglio.read.module.families.yolo_decoded import Decoded, decoded_outputs, moved

Floats = NDArray[np.float32]
PIXELS = 1e-2
"""How far a box may lie from the network's own: float32 over some thousand pixels."""
SCORES = 1e-5
"""How far a score may: float32 of at most one."""
CUSTOMARY = {"map": "yolov3", "anchor-maps": "yolov5"}
"""Layout of raw maps, to the family that gives them so and nothing beside them."""


@dataclass(frozen=True)
class Maps:
    """Outputs that might be the maps of all levels.

    Attributes:
        outputs: Of each level.
        sizes: Height, width of each.
        strides: Of each.
        layout: "map" or "anchor-maps".
        each: Anchors of a cell.
        width: Numbers of an anchor.
    """

    outputs: tuple[int, ...]
    sizes: tuple[Size, ...]
    strides: tuple[int, ...]
    layout: str
    each: int
    width: int


def raw_yolo(shown: Shown) -> PostProcess | None:
    """Return the reading of a network that gives its raw maps.

    Where decoded boxes come with them, they prove it. Where none do, it must be the only one that
    fits what attributes say of anchors, strides and classes.
    """
    decoded = decoded_outputs(shown)
    readings = list(_readings(shown))
    proved = [post for post in readings if any(is_said_by(post, shown, own) for own in decoded)]
    if proved:
        return proved[0]
    if decoded:
        return None
    customary = [post for post in readings if _is_customary(post)]
    return customary[0] if len(customary) == 1 else None


def _is_customary(post: PostProcess) -> bool:
    layout = post.levels[0].scores.layout
    return post.family == "yolo_free" or post.family == CUSTOMARY[layout]


def _readings(shown: Shown) -> Iterator[PostProcess]:
    for strides in shown.strides:
        for maps in _maps(shown, strides):
            yield from _of_maps(shown, maps)


def _maps(shown: Shown, strides: tuple[int, ...]) -> Iterator[Maps]:
    """Give the outputs that are one map a level, in rising order, the finest or the coarsest first.

    Of raw maps with anchors, as many a cell as attributes say; without anchors, one.
    """
    counts = {1} | {len(own[0]) for own in shown.anchors.values()}
    for order in (strides, strides[::-1]):
        sizes = level_sizes(shown.input_size, order)
        for first in range(len(shown.outputs) - len(order) + 1 if sizes else 0):
            outputs = tuple(range(first, first + len(order)))
            found = [shown.outputs[number] for number in outputs]
            for each in sorted(counts):
                fits = {_fit(own, size, each) for own, size in zip(found, sizes, strict=True)}
                if len(fits) == 1 and (fit := fits.pop()) is not None:
                    yield Maps(outputs, sizes, order, fit[0], each, fit[1])


def _fit(output: Tensor, size: Size, each: int) -> tuple[str, int] | None:
    """Return layout and width of a map, if it is of this size."""
    shape = tuple(output.shape[1:])
    if output.ndim == 5 and shape[:3] == (each, *size):
        return "anchor-maps", shape[3]
    if output.ndim == 4 and shape[1:] == size and shape[0] % each == 0:
        return "map", shape[0] // each
    return None


def _of_maps(shown: Shown, maps: Maps) -> Iterator[PostProcess]:
    """Give the readings whose numbers add up."""
    heads = packed(len(maps.outputs), objectness=True, layout=maps.layout)
    size, classes = shown.input_size, maps.width - 5
    said = shown.anchors.get(maps.strides) or shown.anchors.get(maps.strides[::-1], ())[::-1]
    if said and len(said[0]) == maps.each and classes in shown.classes:
        grids = yolo_grids(size, maps.strides, said)
        for family in (yolov3, yolov5):
            yield _moved(family(size, grids, classes=classes, heads=heads), maps, shown)
    if maps.each != 1:
        return
    if classes in shown.classes and not said:
        points = point_grids(size, maps.sizes)
        yield _moved(yolox(size, points, classes=classes, heads=heads), maps, shown)
    for bins in sorted(shown.bins):
        if maps.width - 4 * bins in shown.classes:
            points = point_grids(size, maps.sizes, centre=0.5)
            free = packed(len(maps.outputs), layout=maps.layout)
            count = maps.width - 4 * bins
            post = yolo_free(size, points, classes=count, heads=free, bins=bins)
            yield _moved(post, maps, shown)


def _moved(post: PostProcess, maps: Maps, shown: Shown) -> PostProcess:
    return replace(moved(post, maps.outputs), names=shown.named(post.classes))


def is_said_by(post: PostProcess, shown: Shown, decoded: Decoded) -> bool:
    """Return whether a reading of raw maps gives what a decoded output of the network says.

    Its positions may run over levels, rows, columns, anchors, or over levels, anchors, rows,
    columns.
    """
    picture = Picture([own.numpy() for own in shown.outputs])
    if decoded.classes != post.classes:
        return False
    said = decoded.rows.numpy()
    half = said[:, 2:4] / 2
    boxes = np.concatenate([said[:, :2] - half, said[:, :2] + half], axis=1)
    scores = said[:, 5:] * said[:, 4:5] if decoded.objectness else said[:, 4:]
    for order in (_cells_first, _anchors_first):
        made = [_of_level(post, level, picture, order) for level in post.levels]
        own_boxes = np.concatenate([one[0] for one in made])
        own_scores = np.concatenate([one[1] for one in made])
        if len(own_boxes) != len(boxes):
            return False
        near = np.abs(own_boxes - boxes).max() <= PIXELS
        if near and np.abs(own_scores - scores).max() <= SCORES:
            return True
    return False


def _of_level(
    post: PostProcess, level: Level, picture: Picture, order: Callable[[Grid, Floats], Floats]
) -> tuple[Floats, Floats]:
    """Return boxes [positions, 4] and scores [positions, classes], in an order of positions."""
    places = level.places
    assert isinstance(places, Grid), "maps have grids"
    coded = np.concatenate(
        [numbers(part, places, picture.outputs, picture.number) for part in level.boxes], axis=1
    )
    anchors = anchors_at(places, np.arange(places.count))
    boxes = corners(level.coder, coded, anchors, post.input_size)
    return order(places, boxes), order(places, level_scores(post, level, picture))


def _cells_first(grid: Grid, values: Floats) -> Floats:
    return values


def _anchors_first(grid: Grid, values: Floats) -> Floats:
    split = values.reshape(grid.rows * grid.columns, len(grid.anchors), -1)
    return np.asarray(split.transpose(1, 0, 2).reshape(len(values), -1))
