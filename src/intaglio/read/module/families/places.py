"""From anchors that were seen to places: grids where they follow one, else a table."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from intaglio.boxes.places import anchors_at
from intaglio.boxes.postprocess import Box, Grid, Places, Table
from intaglio.read.module.families.evidence import Anchors, Size

Floats = NDArray[np.float32]
MOST_ANCHORS = 1024
"""Of a cell, in a grid."""
NEAR = 5e-4
"""Pixels: what float32 may round off a coordinate of some thousand, done in another order."""


def places_of(anchors: Anchors, input_size: Size) -> tuple[Places, ...]:
    """Return the places of the anchors' positions, one a map; one table where maps do not add up.

    Args:
        anchors: With the maps that they were made for.
        input_size: Height, width in pixels.
    """
    boxes = np.asarray(anchors.boxes.numpy(), np.float32)
    counts = counts_of(anchors)
    if not counts:
        return (_table(boxes),)
    places: list[Places] = []
    start = 0
    for (rows, columns), count in zip(anchors.maps, counts, strict=True):
        own = boxes[start : start + rows * columns * count]
        places.append(_grid(own, (rows, columns), input_size) or _table(own))
        start += len(own)
    return tuple(places)


def counts_of(anchors: Anchors) -> tuple[int, ...]:
    """Return how many anchors a cell of each map has; () where the maps do not add up."""
    cells = [rows * columns for rows, columns in anchors.maps]
    if not cells:
        return ()
    even, rest = divmod(len(anchors.boxes), sum(cells))
    for counts in (anchors.counts, (even,) * len(cells) if not rest else ()):
        fits = len(counts) == len(cells) and all(count > 0 for count in counts)
        if fits and sum(map(int.__mul__, counts, cells)) == len(anchors.boxes):
            return counts
    return ()


def _grid(boxes: Floats, cells: Size, input_size: Size) -> Grid | None:
    """Return the grid that gives these boxes, in the order of rows, columns, anchors, or None."""
    rows, columns = cells
    if len(boxes) > rows * columns * MOST_ANCHORS:
        return None
    split = boxes.reshape(rows, columns, -1, 4).astype(np.float64)
    first = split[0, 0, 0]
    centre = ((first[1] + first[3]) / 2, (first[0] + first[2]) / 2)
    step_y = _step(split[:, 0, 0, 1], input_size[0])
    step_x = _step(split[0, :, 0, 0], input_size[1])
    starts = _starts(centre[0], step_y), _starts(centre[1], step_x)
    for first_y, first_x in itertools.product(*starts):
        if max(abs(first_y - centre[0]), abs(first_x - centre[1])) > NEAR:
            continue
        cell = tuple(_box(one) for one in split[0, 0] - np.asarray([first_x, first_y] * 2))
        grid = Grid(rows, columns, step_y, step_x, first_y, first_x, cell)
        made = anchors_at(grid, np.arange(grid.count)).boxes
        if np.abs(made - boxes).max() <= NEAR:
            return grid
    return None


def _step(sides: NDArray[np.float64], length: int) -> float:
    """Return the step from cell to cell, by a formula where one fits."""
    cells = len(sides)
    if cells == 1:
        return float(length)
    fitted = float(sides[-1] - sides[0]) / (cells - 1)
    for step in (float(round(fitted)), length / cells, fitted):
        if abs(step - fitted) * (cells - 1) <= NEAR and step > 0:
            return step
    return float(length)  # no step at all: the check after this refuses it


def _starts(centre: float, step: float) -> Sequence[float]:
    """Return where the first place might be: the corner, half a step, or where it was seen."""
    return (0.0, step / 2, centre)


def _box(corners: NDArray[np.float64]) -> Box:
    left, top, right, bottom = (float(round(number, 4)) + 0.0 for number in corners)
    return (left, top, right, bottom)


def _table(boxes: Floats) -> Table:
    return Table(tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in boxes))
