"""Coders: what the numbers of a box mean. `decode` turns them into corners."""

from __future__ import annotations

import math
from dataclasses import dataclass

from intaglio.boxes import bounds

LARGEST_DELTA = math.log(1000 / 16)
"""Of a width or height, in Faster R-CNN's coding: 62.5 times the anchor's."""


@dataclass(frozen=True)
class Deltas:
    """Shift and growth of an anchor: x = cx + w dx / wx, width = w exp(dw / ww).

    Source: Girshick et al. 2014, arXiv:1311.2524, appendix C; the weights are SSD's 1 / variance.

    Attributes:
        weights: wx, wy, ww, wh.
        limit: Largest dw / ww and dh / wh before the exponential; None for none.
        order: "xywh", or TensorFlow's "yxhw".
    """

    weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    limit: float | None = LARGEST_DELTA
    order: str = "xywh"

    def __post_init__(self) -> None:
        if not isinstance(self.weights, tuple) or len(self.weights) != 4:
            raise ValueError(f"weights of deltas are {self.weights!r}: give four")
        for weight in self.weights:
            bounds.real("a weight of deltas", weight, 1e-6)
        if self.limit is not None:
            bounds.real("limit of deltas", self.limit, 0.0, 80.0)
        bounds.word("order of deltas", self.order, ("xywh", "yxhw"))


@dataclass(frozen=True)
class Distances:
    """Left, top, right, bottom from the anchor's centre (FCOS, Tian et al. 2019, arXiv:1904.01355).

    Attributes:
        unit: "anchor": in the anchor's width and height; "pixels".
        activation: Done to the numbers first: "none", "relu" or "exp".
    """

    unit: str = "anchor"
    activation: str = "relu"

    def __post_init__(self) -> None:
        bounds.word("unit of distances", self.unit, ("anchor", "pixels"))
        bounds.word("activation of distances", self.activation, ("none", "relu", "exp"))


@dataclass(frozen=True)
class Bins:
    """Distances, each the mean of 0 .. count-1 under a softmax, in the anchor's width and height.

    Source: Li et al. 2020, arXiv:2006.04388, section 3.2 (YOLOv8 to v11 use 16 bins). The numbers
    of a position are all bins of left, then of top, right, bottom.
    """

    count: int = 16

    def __post_init__(self) -> None:
        bounds.whole("count of bins", self.count, 2, 256)


@dataclass(frozen=True)
class Darknet:
    """x = place + stretch (sigmoid(tx) - 1/2) step, width = anchor exp(tw), for a `Grid`.

    Source: Redmon & Farhadi 2018, arXiv:1804.02767, section 2.1; stretch is darknet's scale_x_y.
    The place of a cell is its centre.
    """

    stretch: float = 1.0

    def __post_init__(self) -> None:
        bounds.real("stretch of darknet", self.stretch, 0.5, 4.0)


@dataclass(frozen=True)
class YoloV5:
    """x = place + 2 (sigmoid(tx) - 1/2) step, width = anchor (2 sigmoid(tw))^2, for a `Grid`.

    The same as (2 sigmoid(tx) - 1/2 + cell) step. Source: ultralytics/yolov5, Detect.
    """


@dataclass(frozen=True)
class YoloX:
    """x = cx + tx w, width = w exp(tw): anchors are the cells, centred on the cells' corners.

    Source: Ge et al. 2021, arXiv:2107.08430: (tx + cell) stride, exp(tw) stride.
    """


@dataclass(frozen=True)
class Peaks:
    """x = cx + tx w, width = tw in `unit`: CenterNet's offset, then its size, at a heat map's cell.

    Source: Zhou et al. 2019, arXiv:1904.07850, section 3.

    Attributes:
        unit: Of the size: "anchor": in cells; "pixels".
    """

    unit: str = "anchor"

    def __post_init__(self) -> None:
        bounds.word("unit of peaks", self.unit, ("anchor", "pixels"))


@dataclass(frozen=True)
class Centers:
    """The centre's x and y, width, height: decoded already.

    Attributes:
        unit: "pixels", or "input": parts of the input's width and height.
    """

    unit: str = "pixels"

    def __post_init__(self) -> None:
        bounds.word("unit of centers", self.unit, ("pixels", "input"))


@dataclass(frozen=True)
class Corners:
    """Left, top, right, bottom: decoded already.

    Attributes:
        unit: "pixels", or "input": parts of the input's width and height.
        order: "xyxy", or TensorFlow's "yxyx".
    """

    unit: str = "pixels"
    order: str = "xyxy"

    def __post_init__(self) -> None:
        bounds.word("unit of corners", self.unit, ("pixels", "input"))
        bounds.word("order of corners", self.order, ("xyxy", "yxyx"))


Coder = Deltas | Distances | Bins | Darknet | YoloV5 | YoloX | Peaks | Centers | Corners


def numbers_of(coder: Coder) -> int:
    """Return how many numbers a box is coded in."""
    return 4 * coder.count if isinstance(coder, Bins) else 4
