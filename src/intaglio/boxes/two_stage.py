"""The post-processing of detectors of two stages, as data."""

from __future__ import annotations

from collections.abc import Sequence

from intaglio.boxes.coders import Deltas
from intaglio.boxes.heads import Heads, levels_of, per_level
from intaglio.boxes.limits import FAST_RCNN, RPN, Limits
from intaglio.boxes.postprocess import (
    Level,
    Part,
    Places,
    Pooling,
    PostProcess,
    Proposed,
    Selection,
    Suppression,
    TwoStage,
)

Size = tuple[int, int]
"""Height, width."""
REGION_WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def rpn(
    input_size: Size,
    places: Sequence[Places],
    *,
    heads: Heads | None = None,
    limits: Limits = RPN,
) -> PostProcess:
    """Return that of region proposals: of each level the `before` highest; suppression by level.

    Args:
        input_size: Pixels.
        places: `anchors.anchor_grids`.
        heads: `per_level(len(places))` unless given; scores are objectness [N, A, H, W].
        limits: What is kept; scores of `above` itself are kept too where it is 0.
    """
    return PostProcess(
        family="rpn",
        input_size=input_size,
        levels=levels_of(heads or per_level(len(places)), places, [Deltas()] * len(places), 1),
        classes=1,
        select=Selection(limits.above or None, limits.before, "level"),
        suppress=Suppression(limits.overlap, "level"),
        most=limits.most,
        smallest=1e-3,
    )


def fast_rcnn(
    input_size: Size,
    *,
    classes: int,
    outputs: tuple[int, int] = (0, 1),
    limits: Limits = FAST_RCNN,
    names: Sequence[str] = (),
) -> PostProcess:
    """Return that of a second stage: softmax with background 0, boxes of each class of a region.

    Args:
        input_size: Pixels.
        classes: With the background.
        outputs: Which are scores [regions, classes] and deltas [regions, 4 classes].
        limits: What is kept; `before` over all.
        names: Of classes, with the background's.
    """
    scores = Part(outputs[0], "rows", classes, 0, classes)
    boxes = Part(outputs[1], "rows", 4 * classes, 0, 4 * classes)
    return PostProcess(
        family="fast_rcnn",
        input_size=input_size,
        levels=(Level(Proposed(), Deltas(REGION_WEIGHTS), (boxes,), scores),),
        classes=classes,
        select=Selection(limits.above, limits.before, "all"),
        suppress=Suppression(limits.overlap),
        most=limits.most,
        activation="softmax",
        background=0,
        smallest=1e-2,
        names=tuple(names),
    )


def faster_rcnn(
    regions: PostProcess, head: PostProcess, maps: Sequence[int], *, layout: str = "map"
) -> TwoStage:
    """Return both stages, with torchvision's pooling: 7 x 7 bins of 2 x 2 samples.

    Args:
        regions: `rpn`.
        head: `fast_rcnn`.
        maps: Outputs of the first core that regions are cut out of, the largest first.
        layout: Of the maps.
    """
    return TwoStage(regions, Pooling(tuple(maps), layout=layout), head)
