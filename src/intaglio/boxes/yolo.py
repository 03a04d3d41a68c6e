"""The post-processing of YOLO, from version 3 on, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from intaglio.boxes.coders import Bins, Centers, Coder, Darknet, YoloV5, YoloX
from intaglio.boxes.heads import Heads, levels_of, packed
from intaglio.boxes.limits import YOLO_FREE, YOLO_V3, YOLO_V5, YOLO_X, Limits
from intaglio.boxes.postprocess import Grid, Level, PostProcess, Selection, Suppression, Unplaced

Size = tuple[int, int]
"""Height, width."""


def yolov3(
    input_size: Size,
    grids: Sequence[Grid],
    *,
    classes: int,
    heads: Heads | None = None,
    stretches: Sequence[float] | None = None,
    limits: Limits = YOLO_V3,
    names: Sequence[str] = (),
) -> PostProcess:
    """Return YOLOv3's: sigmoids, objectness times class; suppression by class.

    Args:
        input_size: Pixels.
        grids: `anchors.yolo_grids`.
        classes: Without a background.
        heads: `packed(len(grids), objectness=True)` unless given: maps [N, A (5 + classes), H, W].
        stretches: Darknet's scale_x_y of each level; 1 unless given.
        limits: What is kept; `before` over all.
        names: Of classes.
    """
    stretches = (1.0,) * len(grids) if stretches is None else stretches
    coders = [Darknet(stretch) for stretch in stretches]
    levels = _levels(grids, coders, heads, classes)
    return _whole("yolov3", input_size, levels, limits, names)


def yolov5(
    input_size: Size,
    grids: Sequence[Grid],
    *,
    classes: int,
    heads: Heads | None = None,
    limits: Limits = YOLO_V5,
    names: Sequence[str] = (),
) -> PostProcess:
    """Return that of YOLOv5's and v7's raw maps; the rest as YOLOv3's."""
    coders = [YoloV5()] * len(grids)
    levels = _levels(grids, coders, heads, classes)
    return _whole("yolov5", input_size, levels, limits, names)


def yolox(
    input_size: Size,
    grids: Sequence[Grid],
    *,
    classes: int,
    heads: Heads | None = None,
    limits: Limits = YOLO_X,
    names: Sequence[str] = (),
) -> PostProcess:
    """Return that of YOLOX's raw maps (`anchors.point_grids`); the rest as YOLOv3's."""
    coders = [YoloX()] * len(grids)
    levels = _levels(grids, coders, heads, classes)
    return _whole("yolox", input_size, levels, limits, names)


def yolo_free(
    input_size: Size,
    grids: Sequence[Grid],
    *,
    classes: int,
    heads: Heads | None = None,
    bins: int = 16,
    limits: Limits = YOLO_FREE,
    names: Sequence[str] = (),
) -> PostProcess:
    """Return that of the raw maps of YOLOv8 to v11: bins of distances, sigmoid, no objectness.

    Args:
        input_size: Pixels.
        grids: `anchors.point_grids(..., centre=0.5)`.
        classes: Without a background.
        heads: `packed(len(grids))` unless given: maps [N, 4 bins + classes, H, W].
        bins: Of a distance.
        limits: What is kept; `before` over all.
        names: Of classes.
    """
    heads = heads or packed(len(grids))
    coders = [Bins(bins)] * len(grids)
    levels = _levels(grids, coders, heads, classes)
    return _whole("yolo_free", input_size, levels, limits, names)


def yolo_decoded(
    input_size: Size,
    positions: int,
    *,
    classes: int,
    objectness: bool = False,
    layout: str = "columns",
    limits: Limits = YOLO_FREE,
    names: Sequence[str] = (),
) -> PostProcess:
    """Return that of one output with decoded boxes (cx, cy, w, h in pixels) and sigmoid scores.

    Args:
        input_size: Pixels.
        positions: Of all levels together.
        classes: Without a background.
        objectness: Whether one stands between box and scores (YOLOv5; v8 to v11 have none).
        layout: "columns" [N, 4 + classes, P] (v8 to v11) or "rows" [N, P, 5 + classes] (v5).
        limits: What is kept; `before` over all.
        names: Of classes.
    """
    heads = packed(1, objectness=objectness, layout=layout)
    levels = levels_of(heads, [Unplaced(positions)], [Centers()], classes)
    return replace(_whole("yolo_decoded", input_size, levels, limits, names), activation="none")


def _levels(
    grids: Sequence[Grid], coders: Sequence[Coder], heads: Heads | None, classes: int
) -> tuple[Level, ...]:
    heads = heads or packed(len(grids), objectness=True)
    return levels_of(heads, grids, coders, classes)


def _whole(
    family: str, input_size: Size, levels: tuple[Level, ...], limits: Limits, names: Sequence[str]
) -> PostProcess:
    """Return what all versions share: `before` over all, suppression by class, nothing cut off."""
    return PostProcess(
        family=family,
        input_size=input_size,
        levels=levels,
        classes=levels[0].scores.count,
        select=Selection(limits.above, limits.before, "all"),
        suppress=Suppression(limits.overlap),
        most=limits.most,
        clip=False,
        names=tuple(names),
    )
