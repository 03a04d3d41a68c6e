"""The post-processing of the usual detectors, as data.

YOLO stands in `yolo`, detectors of two stages in `two_stage`.
"""

from __future__ import annotations

from collections.abc import Sequence

from intaglio.boxes.coders import Centers, Corners, Deltas, Distances, Peaks
from intaglio.boxes.heads import Heads, levels_of, per_level, together
from intaglio.boxes.limits import FCOS, RETINANET, SSD, TF_SSD, Limits
from intaglio.boxes.postprocess import (
    Grid,
    Level,
    Part,
    Places,
    PostProcess,
    Selection,
    Suppression,
    Unplaced,
)

Size = tuple[int, int]
"""Height, width."""
SSD_WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def ssd(
    input_size: Size,
    places: Sequence[Places],
    *,
    classes: int,
    heads: Heads | None = None,
    limits: Limits = SSD,
    names: Sequence[str] = (),
) -> PostProcess:
    """Return SSD's as torchvision has it (SSDLite: `limits=SSDLITE`).

    Softmax with background 0; of each class the `before` highest; suppression by class.

    Args:
        input_size: Pixels.
        places: `anchors.default_boxes`.
        classes: With the background.
        heads: `per_level(len(places))` unless given.
        limits: What is kept.
        names: Of classes, with the background's.
    """
    coder = Deltas(SSD_WEIGHTS)
    return PostProcess(
        family="ssd",
        input_size=input_size,
        levels=levels_of(heads or per_level(len(places)), places, [coder] * len(places), classes),
        classes=classes,
        select=Selection(limits.above, limits.before, "class"),
        suppress=Suppression(limits.overlap),
        most=limits.most,
        activation="softmax",
        background=0,
        names=tuple(names),
    )


def tf_ssd(
    input_size: Size,
    places: Sequence[Places],
    *,
    classes: int,
    heads: Heads | None = None,
    limits: Limits = TF_SSD,
    activation: str = "sigmoid",
    names: Sequence[str] = (),
) -> PostProcess:
    """Return that of TensorFlow's SSD: boxes (y, x, h, w), sigmoid with background 0.

    Of each class the `before` highest; suppression by class.

    Args:
        input_size: Pixels.
        places: `anchors.tf_default_boxes`, or one `Table`.
        classes: With the background.
        heads: `together()` unless given: boxes [N, P, 4], scores [N, P, classes].
        limits: What is kept.
        activation: "none" where the network has the sigmoid itself.
        names: Of classes, with the background's.
    """
    coder = Deltas(SSD_WEIGHTS, limit=None, order="yxhw")
    return PostProcess(
        family="tf_ssd",
        input_size=input_size,
        levels=levels_of(heads or together(), places, [coder] * len(places), classes),
        classes=classes,
        select=Selection(limits.above, limits.before, "class"),
        suppress=Suppression(limits.overlap),
        most=limits.most,
        activation=activation,
        background=0,
        names=tuple(names),
    )


def retinanet(
    input_size: Size,
    places: Sequence[Places],
    *,
    classes: int,
    heads: Heads | None = None,
    limits: Limits = RETINANET,
    names: Sequence[str] = (),
) -> PostProcess:
    """Return RetinaNet's: sigmoid; of each level the `before` highest; suppression by class.

    Args:
        input_size: Pixels.
        places: `anchors.anchor_grids` of `RETINANET_SIZES`.
        classes: As many as the head has scores (torchvision's 91 hold an unused 0).
        heads: `per_level(len(places))` unless given.
        limits: What is kept.
        names: Of classes.
    """
    return PostProcess(
        family="retinanet",
        input_size=input_size,
        levels=levels_of(
            heads or per_level(len(places)), places, [Deltas()] * len(places), classes
        ),
        classes=classes,
        select=Selection(limits.above, limits.before, "level"),
        suppress=Suppression(limits.overlap),
        most=limits.most,
        names=tuple(names),
    )


def fcos(
    input_size: Size,
    places: Sequence[Places],
    *,
    classes: int,
    heads: Heads | None = None,
    limits: Limits = FCOS,
    names: Sequence[str] = (),
) -> PostProcess:
    """Return FCOS's: square root of class score times centre-ness; the rest as RetinaNet's.

    Args:
        input_size: Pixels.
        places: `anchors.point_grids` with `sides=FCOS_SIDES`.
        classes: As many as the head has scores.
        heads: `per_level(len(places), objectness=True)` unless given; objectness is centre-ness.
        limits: What is kept.
        names: Of classes.
    """
    heads = heads or per_level(len(places), objectness=True)
    return PostProcess(
        family="fcos",
        input_size=input_size,
        levels=levels_of(heads, places, [Distances()] * len(places), classes),
        classes=classes,
        select=Selection(limits.above, limits.before, "level"),
        suppress=Suppression(limits.overlap),
        most=limits.most,
        combine="root",
        names=tuple(names),
    )


def centernet(
    input_size: Size,
    grid: Grid,
    *,
    classes: int,
    outputs: tuple[int, int, int] = (0, 1, 2),
    most: int = 100,
    activation: str = "sigmoid",
    names: Sequence[str] = (),
) -> PostProcess:
    """Return CenterNet's: the highest peaks of the heat map, nothing suppressed.

    Source: Zhou et al. 2019, arXiv:1904.07850, section 4.

    Args:
        input_size: Pixels.
        grid: `anchors.point_grids` of one map.
        classes: Without a background.
        outputs: Which are heat map [N, classes, H, W], size [N, 2, H, W] (in cells), offset.
        most: Peaks.
        activation: "none" where the network has the sigmoid itself.
        names: Of classes.
    """
    heat, size, offset = outputs
    boxes = (Part(offset, "map", 2, 0, 2), Part(size, "map", 2, 0, 2))
    level = Level(grid, Peaks(), boxes, Part(heat, "map", classes, 0, classes))
    return PostProcess(
        family="centernet",
        input_size=input_size,
        levels=(level,),
        classes=classes,
        select=Selection(None, most, "all", peaks=True),
        suppress=None,
        most=most,
        activation=activation,
        clip=False,
        names=tuple(names),
    )


def corners(
    input_size: Size,
    positions: int,
    *,
    classes: int,
    heads: Heads | None = None,
    limits: Limits = RETINANET,
    coder: Corners | Centers | None = None,
    names: Sequence[str] = (),
) -> PostProcess:
    """Return that of any network which gives whole boxes and scores from 0 to 1.

    Args:
        input_size: Pixels.
        positions: Boxes of a picture.
        classes: Without a background.
        heads: `together()` unless given: boxes [N, P, 4], scores [N, P, classes].
        limits: What is kept; `before` over all.
        coder: `Corners()` in pixels unless given.
        names: Of classes.
    """
    places = [Unplaced(positions)]
    return PostProcess(
        family="corners",
        input_size=input_size,
        levels=levels_of(heads or together(), places, [coder or Corners()], classes),
        classes=classes,
        select=Selection(limits.above, limits.before, "all"),
        suppress=Suppression(limits.overlap),
        most=limits.most,
        activation="none",
        names=tuple(names),
    )
