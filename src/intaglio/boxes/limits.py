"""How many boxes the usual detectors keep."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What is kept.

    Attributes:
        above: Scores above this are candidates.
        before: Candidates before suppression; of what, the family says. None for all.
        overlap: More than this, intersection over union, removes a box.
        most: Detections of a picture.
    """

    above: float
    before: int | None
    overlap: float
    most: int


SSD = Limits(0.01, 400, 0.45, 200)
SSDLITE = Limits(0.001, 300, 0.55, 300)
TF_SSD = Limits(0.05, None, 0.6, 100)
RETINANET = Limits(0.05, 1000, 0.5, 300)
FCOS = Limits(0.2, 1000, 0.6, 100)
YOLO_V3 = Limits(0.005, 30_000, 0.45, 300)
YOLO_V5 = Limits(0.001, 30_000, 0.6, 300)
YOLO_X = Limits(0.01, 30_000, 0.65, 300)
YOLO_FREE = Limits(0.001, 30_000, 0.7, 300)
RPN = Limits(0.0, 1000, 0.7, 1000)
FAST_RCNN = Limits(0.05, None, 0.5, 100)
