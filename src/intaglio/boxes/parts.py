"""Reading the numbers of positions out of a network's outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from intaglio.boxes.postprocess import Grid, Part, Places, Proposed

Floats = NDArray[np.float32]


def numbers(part: Part, places: Places, outputs: Sequence[Floats], picture: int = 0) -> Floats:
    """Return the numbers of one picture, [positions, part.count].

    Args:
        part: Which numbers.
        places: Of the level; maps need its grid.
        outputs: All outputs of the network, float.
        picture: Which of the batch.

    Raises:
        ValueError: If there is no such output, or it has another shape, or holds integers.
    """
    if part.output >= len(outputs):
        raise ValueError(f"output {part.output} is read, but the network gave {len(outputs)}")
    whole = np.asarray(outputs[part.output])
    if whole.dtype.kind != "f":
        raise ValueError(f"output {part.output} is {whole.dtype}: give its real values, float32")
    one = whole[picture].astype(np.float32, copy=False)
    if part.layout in ("rows", "columns"):
        return _from_rows(part, places, one)
    if not isinstance(places, Grid):
        raise ValueError(f"output {part.output} is a map, but its places are no grid")
    return _from_map(part, places, one)


def _from_rows(part: Part, places: Places, one: Floats) -> Floats:
    rows = one[:, None] if one.ndim == 1 and part.width == 1 else one
    if rows.ndim == 2 and part.layout == "columns":
        rows = rows.T
    stop = len(rows) if isinstance(places, Proposed) else part.start + places.count
    if rows.ndim != 2 or rows.shape[1] != part.width or len(rows) < stop:
        raise ValueError(
            f"output {part.output} of a picture is {list(one.shape)}: as {part.layout} it must have"
            f" {part.width} numbers of at least {stop} positions"
        )
    return rows[part.start : stop, part.first : part.first + part.count]


def _from_map(part: Part, grid: Grid, one: Floats) -> Floats:
    anchors, cells = len(grid.anchors), (grid.rows, grid.columns)
    shapes = {
        "map": (anchors * part.width, *cells),
        "map-last": (*cells, anchors * part.width),
        "anchor-maps": (anchors, *cells, part.width),
    }
    if one.shape != shapes[part.layout]:
        raise ValueError(
            f"output {part.output} of a picture is {list(one.shape)}: as {part.layout} it must be"
            f" {list(shapes[part.layout])}"
        )
    if part.layout == "map":
        split = one.reshape(anchors, part.width, *cells).transpose(2, 3, 0, 1)
    elif part.layout == "map-last":
        split = one.reshape(*cells, anchors, part.width)
    else:
        split = one.transpose(1, 2, 0, 3)
    meant = split[..., part.first : part.first + part.count]  # [rows, columns, anchors, count]
    return meant.reshape(grid.count, part.count)
