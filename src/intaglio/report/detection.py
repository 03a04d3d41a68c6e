"""What two detectors find in the same pictures, in numbers, as data of the report."""

from __future__ import annotations

from dataclasses import dataclass, field

from intaglio.report.fields import PERCENT, Count, Many, Percent


@dataclass(frozen=True)
class ClassRow:
    """One class of things.

    Attributes:
        name: As the labels call it.
        objects: Those in the pictures that were to be found.
        float_ap50, ap50: Average precision at an overlap of 0.5, of the float network and of the
            integer one.
    """

    name: str
    objects: Count
    float_ap50: Percent = field(metadata={"digits": 2})
    ap50: Percent = field(metadata={"digits": 2})

    @property
    def change(self) -> float:
        """Points gained; below 0: lost."""
        return self.ap50 - self.float_ap50


@dataclass(frozen=True)
class Detection:
    """What the figures of two detectors are made of.

    Attributes:
        per_class: Each class of which there was an object, that which lost most first.
        matched_percent: Of the boxes that either network finds, those that both find; None where
            neither finds any.
    """

    per_class: Many[ClassRow]
    matched_percent: Percent | None = field(default=None, metadata=PERCENT)
