"""Where positions lie: their anchors, computed when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from intaglio.boxes.postprocess import Grid, Places, Proposed, Table

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Anchors:
    """Of n positions, in pixels.

    Attributes:
        boxes: [n, 4], left, top, right, bottom.
        points: [n, 2], x and y of the places; of positions in no grid, the boxes' centres.
        step: x and y, from cell to cell; 0 without a grid.
    """

    boxes: Floats
    points: Floats
    step: tuple[float, float]


def anchors_at(places: Places, positions: Indices, proposed: Floats | None = None) -> Anchors:
    """Return the anchors of some positions.

    In float32: place = index * step + first, box = place + anchor.

    Args:
        places: Of a level.
        positions: [n], from 0 to below `places.count`.
        proposed: [regions, 4]: what positions are that are `Proposed`.

    Raises:
        ValueError: If positions are `Proposed` and no regions were given.
    """
    if isinstance(places, Grid):
        return _in_grid(places, positions)
    if isinstance(places, Table):
        return _alone(np.asarray(places.anchors, np.float32)[positions])
    if isinstance(places, Proposed):
        if proposed is None:
            raise ValueError("the positions are regions: call `region_detections` with them")
        return _alone(np.asarray(proposed, np.float32)[positions])
    return _alone(np.zeros((len(positions), 4), np.float32))


def _in_grid(grid: Grid, positions: Indices) -> Anchors:
    cells, anchors = np.divmod(positions, len(grid.anchors))
    rows, columns = np.divmod(cells, grid.columns)
    x = columns.astype(np.float32) * np.float32(grid.step_x) + np.float32(grid.first_x)
    y = rows.astype(np.float32) * np.float32(grid.step_y) + np.float32(grid.first_y)
    points = np.stack([x, y], axis=1)  # [n, 2]
    relative = np.asarray(grid.anchors, np.float32)[anchors]  # [n, 4]
    return Anchors(np.tile(points, 2) + relative, points, (grid.step_x, grid.step_y))


def _alone(boxes: Floats) -> Anchors:
    points = (boxes[:, :2] + boxes[:, 2:]) * np.float32(0.5)
    return Anchors(boxes, points, (0.0, 0.0))
