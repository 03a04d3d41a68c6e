"""What two segmenters say of the same pixels, in numbers, as data of the report."""

from __future__ import annotations

from dataclasses import dataclass, field

from intaglio.report.fields import ABSENT, PERCENT, Count, Many, NotBelowZero, Percent


@dataclass(frozen=True)
class ClassIou:
    """One class of pixels.

    Attributes:
        name: As the labels call it.
        pixels: Those that truly are of it.
        float_iou, iou: Intersection over union, of the float network and of the integer one.
    """

    name: str
    pixels: Count
    float_iou: Percent = field(metadata={"digits": 2})
    iou: Percent = field(metadata={"digits": 2})

    @property
    def change(self) -> float:
        """Points gained; below 0: lost."""
        return self.iou - self.float_iou


@dataclass(frozen=True)
class Zone:
    """A part of all pixels: those near a border of classes, or those inside.

    Attributes:
        pixels: Those in it that count.
        float_miou, miou: Mean of the IoU over the classes that truly are in it, of the float
            network and of the integer one.
        float_accuracy, accuracy: Of its pixels, those whose class is right.
    """

    pixels: Count
    float_miou: Percent = field(metadata={"digits": 2})
    miou: Percent = field(metadata={"digits": 2})
    float_accuracy: Percent = field(metadata={"digits": 2})
    accuracy: Percent = field(metadata={"digits": 2})


@dataclass(frozen=True)
class Borders:
    """What two segmenters say near the borders of classes, and inside of them.

    Attributes:
        reach_percent: How far from a border a pixel is near it, of the picture's diagonal.
        band: Pixels near a border.
        inside: All others; None where there are none.
    """

    reach_percent: NotBelowZero = field(metadata={"digits": 2})
    band: Zone
    inside: Zone | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True)
class Segmentation:
    """What the figures of two segmenters are made of.

    Attributes:
        per_class: Each class that some pixel truly is of, that which lost most first.
        matched_percent: Of all pixels, those that both networks say the same class of; None where
            that was not measured.
        borders: Near the borders of classes; None where that was not measured, or there are none.
    """

    per_class: Many[ClassIou]
    matched_percent: Percent | None = field(default=None, metadata=PERCENT)
    borders: Borders | None = field(default=None, metadata=ABSENT)
